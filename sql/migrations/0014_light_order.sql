-- What has no score may be ranked by sentence embeddings, too.
ALTER TABLE rerank.ranking
    DROP CONSTRAINT ranking_ranked_by_check,
    ADD CONSTRAINT ranking_ranked_by_check CHECK (ranked_by IN ('model', 'bm25', 'embedding'));
