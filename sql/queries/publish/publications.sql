-- name: lock
-- Publications of one pipeline commit one at a time, so that the pointer is compared with the current page.
SELECT rerank.take_turn('publish ' || :pipeline)

-- name: add
-- A publication is a new version of its run, never an overwrite.
INSERT INTO rerank.publication (pipeline, run_id, version, fence, as_of, parquet_path, parquet_sha256, rows_sha256, row_count, degraded, difference, trimmed, blocked)
VALUES (:pipeline, :run_id, :version, :fence, :as_of, :parquet_path, :parquet_sha256, :rows_sha256, :row_count, :degraded, :difference, :trimmed, :blocked)
RETURNING publication_id

-- name: again
-- A publication that is to be published again, and the next version of its run.
SELECT p.pipeline, p.run_id, p.fence, p.as_of, p.degraded, p.blocked, p.row_count,
       (SELECT count(*) FROM rerank.ranking r WHERE r.publication_id = p.publication_id) AS rows_left,
       (SELECT max(o.version) + 1 FROM rerank.publication o WHERE o.run_id = p.run_id) AS next_version
FROM rerank.publication p
WHERE p.publication_id = :publication_id

-- name: again_rows
-- The rows of a publication without those of forgotten articles, their ranks closed up; the columns of schemas.RANKING, in
-- that order, lists as JSON. `moved` stays the difference to the order, from which the same rows are gone.
SELECT r.topic, r.rank - r.gone_above AS rank,
       r.article_id, r.title, r.url, r.source, r.lang, r.published_at, r.first_ingested_at, r.began_at, r.ranked_by, r.logit,
       r.rank_score, r.light_score, r.truncated, r.is_new, r.copies, CAST(to_json(r.copy_sources) AS text) AS copy_sources,
       r.topic_version_id, r.revision_id, r.document_id, r.scored_document_id, r.scored_article_id, r.scorer_id,
       CASE WHEN r.moved = r.gone_before - r.gone_above THEN NULLIF(r.moved_by, 'shifted') ELSE COALESCE(r.moved_by, 'shifted') END AS moved_by,
       r.moved - r.gone_before + r.gone_above AS moved,
       CAST(to_json(r.pictures) AS text) AS pictures, CAST(to_json(r.captions) AS text) AS captions
FROM (
    SELECT r.*, r.slug AS topic, is_gone, count(*) FILTER (WHERE is_gone) OVER (PARTITION BY r.slug ORDER BY r.rank) AS gone_above,
           -- In the order that `moved` counts from; a row that has no place there took none from others.
           count(*) FILTER (WHERE is_gone) OVER (PARTITION BY r.slug, r.moved IS NULL ORDER BY r.rank + r.moved) AS gone_before
    FROM rerank.ranking r
    JOIN rerank.publication p USING (publication_id)
    CROSS JOIN LATERAL (
        SELECT EXISTS (SELECT FROM rerank.tombstone t
                       WHERE t.pipeline = p.pipeline AND t.article_id = r.article_id) AS is_gone
    ) g
    WHERE r.publication_id = :publication_id
) r
WHERE NOT r.is_gone
ORDER BY r.topic COLLATE "C", rank

-- name: again_topics
-- The topics of a publication, copied to the publication that it is published again as.
INSERT INTO rerank.ranking_topic (publication_id, slug, topic_version_id, scorer_id, state, candidates, from_ledger, scored,
                                  refused, missing, left_out, ranked, source_limited)
SELECT :publication_id, t.slug, t.topic_version_id, t.scorer_id,
       CASE WHEN t.state = 'full' AND n.ranked = 0 THEN 'abstained' ELSE t.state END,
       t.candidates, t.from_ledger, t.scored, t.refused, t.missing, t.left_out, n.ranked, t.source_limited
FROM rerank.ranking_topic t
CROSS JOIN LATERAL (
    SELECT count(*) AS ranked FROM rerank.ranking r WHERE r.publication_id = :publication_id AND r.slug = t.slug
) n
WHERE t.publication_id = :before

-- name: again_hidden
-- What a publication that is published again leaves out: what it left out before, and what was forgotten since.
INSERT INTO rerank.publication_hidden (publication_id, article_id, why)
SELECT :publication_id, h.article_id, h.why
FROM rerank.publication_hidden h
WHERE h.publication_id = :before
  AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = :pipeline AND t.article_id = h.article_id)
UNION
SELECT :publication_id, t.article_id, 'forgotten'
FROM rerank.tombstone t
WHERE t.pipeline = :pipeline
  AND (EXISTS (SELECT FROM rerank.publication_hidden h WHERE h.publication_id = :before AND h.article_id = t.article_id)
       OR EXISTS (SELECT FROM rerank.ranking r WHERE r.publication_id = :before AND r.article_id = t.article_id))

-- name: standing
-- The page: the publication that the pipeline's pointer is at.
SELECT c.publication_id, c.held, p.run_id, p.version, p.as_of, p.parquet_path, p.withdrawn_at IS NOT NULL AS withdrawn
FROM rerank.pointer c JOIN rerank.publication p USING (publication_id)
WHERE c.pipeline = :pipeline
