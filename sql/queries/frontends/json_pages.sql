-- name: current
-- The publication that the pointer is at, with a digest of all that frontends see of it: blocks and rollbacks change the digest.
-- The rows of a publication are as they were written. So of the rows, only what hides them, and the flags of their texts, are read.
SELECT p.publication_id, p.run_id, p.version, p.as_of, p.published_at, p.degraded, p.blocked IS NOT NULL AS blocked, p.parquet_path, p.parquet_sha256, p.row_count,
       (SELECT max(t.overdue_since) FROM rerank.current_topic t WHERE t.pipeline = c.pipeline) AS overdue_since,
       md5(concat(p.publication_id, '/',
                  (SELECT string_agg(md5(CAST(t AS text)), '' ORDER BY t.topic)
                   FROM rerank.current_topic t WHERE t.pipeline = c.pipeline), '/',
                  (SELECT string_agg(h.article_id, ' ' ORDER BY h.article_id)
                   FROM (SELECT b.article_id FROM rerank.block b WHERE b.pipeline = c.pipeline
                         UNION SELECT t.article_id FROM rerank.tombstone t WHERE t.pipeline = c.pipeline) h
                   WHERE h.article_id IN (SELECT r.article_id FROM rerank.ranking r WHERE r.publication_id = c.publication_id
                                          UNION ALL SELECT r.scored_article_id FROM rerank.ranking r
                                          WHERE r.publication_id = c.publication_id)), '/',
                  (SELECT string_agg(concat(d.document_id, d.flags), ' ' ORDER BY d.document_id)
                   FROM rerank.document d
                   WHERE d.flags <> '{}' AND d.document_id IN (SELECT r.document_id FROM rerank.ranking r
                                                               WHERE r.publication_id = c.publication_id)), '/',
                  (SELECT string_agg(md5(CAST(h AS text)), '' ORDER BY h.topic, h.rank_now, h.article_id)
                   FROM rerank.recent_change h WHERE h.pipeline = c.pipeline AND h.is_current))) AS content
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
WHERE c.pipeline = :pipeline

-- name: topics
-- The state and counts of each topic of the current page.
SELECT topic, query, state, candidates, from_ledger, scored, refused, missing, left_out, source_limited
FROM rerank.current_topic
WHERE pipeline = :pipeline
ORDER BY topic

-- name: rows
-- The rows of the current page, as frontends see them.
SELECT topic, rank, article_id, title, url, source, lang, published_at, first_ingested_at, ranked_by, logit, probability,
       rank_score, light_score, truncated, is_new, copies, flags, revision_id,
       began_at, copy_sources, scored_document_id, scored_article_id, moved_by, moved, pictures, captions
FROM rerank.current_ranking
WHERE pipeline = :pipeline
ORDER BY topic, rank

-- name: changes
-- What the move behind the current page changed, as frontends see it: by place, what left last.
SELECT topic, change, article_id, title, url, rank_before, rank_now
FROM rerank.recent_change
WHERE pipeline = :pipeline AND is_current
ORDER BY topic, rank_now, rank_before

-- name: lock
-- Wait until no other writer replaces latest.json.
SELECT rerank.take_turn('pages ' || :pipeline)
