-- What every claim compares of every article stands in the keys' own indexes: the claim of a few new articles reads
-- neither the texts of a million old ones nor the claims' rows. A source of the user's own wants such an index, too.
ALTER TABLE rerank.article
    DROP CONSTRAINT article_pkey,
    ADD CONSTRAINT article_pkey PRIMARY KEY (article_id) INCLUDE (version, ingested_at);
ALTER TABLE rerank.claim
    DROP CONSTRAINT claim_pkey,
    ADD CONSTRAINT claim_pkey PRIMARY KEY (pipeline, article_id) INCLUDE (version);
