-- name: count_publications
-- All publications of a pipeline.
SELECT count(*) AS publications FROM rerank.publication WHERE pipeline = :pipeline

-- name: publications
-- Publications past retention, or whether this publication is. Three kinds stay: the page, what was the page lately
-- (recent_ranking shows it for 24 hours), and the publication that the page goes to when a rollback is released.
SELECT p.publication_id, p.run_id, p.version, p.parquet_path, p.row_count
FROM rerank.publication p
WHERE p.pipeline = :pipeline AND (CAST(:publication_id AS bigint) IS NULL OR p.publication_id = :publication_id)
  AND p.published_at < :before
  AND NOT EXISTS (SELECT FROM rerank.pointer c WHERE c.publication_id = p.publication_id)
  AND NOT EXISTS (SELECT FROM rerank.pointer_move m
                  WHERE m.from_publication_id = p.publication_id
                    AND m.moved_at >= least(CAST(:grace AS timestamptz), now() - interval '24 hours'))
  AND p.publication_id IS DISTINCT FROM (
      SELECT n.publication_id
      FROM rerank.publication n JOIN rerank.run r USING (run_id)
      WHERE n.pipeline = :pipeline
      ORDER BY n.as_of DESC, r.claimed_at DESC, n.version DESC
      LIMIT 1)
ORDER BY p.publication_id

-- name: delete_publication
-- A publication with its rows.
SELECT rerank.drop_publication(:publication_id)

-- name: runs
-- Runs past retention, or whether this run is: no publication is left of them, and something can still be deleted. The
-- run itself stays, so that its key is never given to another window.
SELECT u.run_id, u.key, array_remove(ARRAY[u.members_path, u.pairs_path, u.light_path], NULL) AS paths
FROM rerank.run u
WHERE u.pipeline = :pipeline AND (CAST(:run_id AS bigint) IS NULL OR u.run_id = :run_id)
  AND COALESCE(u.published_at, u.created_at) < :before
  AND NOT EXISTS (SELECT FROM rerank.publication p WHERE p.run_id = u.run_id)
  AND (u.members_path IS NOT NULL OR u.pairs_path IS NOT NULL OR u.light_path IS NOT NULL
       OR EXISTS (SELECT FROM rerank.run_topic t WHERE t.run_id = u.run_id)
       OR EXISTS (SELECT FROM rerank.run_metric m WHERE m.run_id = u.run_id)
       OR EXISTS (SELECT FROM rerank.score_aside s WHERE s.aside_for = u.run_id)
       OR EXISTS (SELECT FROM rerank.scoring_attempt a WHERE a.run_id = u.run_id)
       OR EXISTS (SELECT FROM rerank.arrival a WHERE a.run_id = u.run_id))
ORDER BY u.run_id

-- name: empty_run
-- Deletes what a run was made from; the run itself stays.
WITH topics AS (
    DELETE FROM rerank.run_topic WHERE run_id = :run_id
), acts AS (
    DELETE FROM rerank.run_act WHERE run_id = :run_id
), metrics AS (
    DELETE FROM rerank.run_metric WHERE run_id = :run_id
), aside AS (
    DELETE FROM rerank.score_aside WHERE aside_for = :run_id
), attempts AS (
    DELETE FROM rerank.scoring_attempt WHERE run_id = :run_id
), arrivals AS (
    DELETE FROM rerank.arrival WHERE run_id = :run_id
)
UPDATE rerank.run
SET members_path = NULL, members_sha256 = NULL, pairs_path = NULL, pairs_sha256 = NULL, light_path = NULL, light_sha256 = NULL,
    silences = NULL
WHERE run_id = :run_id

-- name: window
-- The earliest time whose articles may still be ranked, by a run that is kept or by the next run.
SELECT least(CAST(:fresh_since AS timestamptz), min(u.fresh_since)) AS since
FROM rerank.run u
WHERE u.pipeline = :pipeline
  AND (COALESCE(u.published_at, u.created_at) >= :before
       OR EXISTS (SELECT FROM rerank.publication p WHERE p.run_id = u.run_id))

-- name: revisions
-- Deletes revisions that no run can rank any more, and what is known of them; their claims stay.
WITH old AS (
    SELECT r.revision_id
    FROM rerank.revision r
    JOIN rerank.run u USING (run_id)
    WHERE r.pipeline = :pipeline AND r.first_ingested_at < :fresh_since
      AND COALESCE(u.published_at, u.created_at) < :before
      AND NOT EXISTS (SELECT FROM rerank.publication p WHERE p.run_id = u.run_id)
    ORDER BY r.revision_id
    LIMIT :batch
), texts AS (
    DELETE FROM rerank.revision_text t USING old WHERE t.revision_id = old.revision_id AND NOT :dry_run
), quarantined AS (
    DELETE FROM rerank.quarantine q USING old WHERE q.revision_id = old.revision_id AND NOT :dry_run
), revisions AS (
    DELETE FROM rerank.revision r USING old WHERE r.revision_id = old.revision_id AND NOT :dry_run
)
SELECT count(*) AS found FROM old

-- name: texts
-- Deletes the raw text of revisions that are prepared, or in quarantine, and were claimed long ago.
WITH old AS (
    SELECT t.revision_id
    FROM rerank.revision_text t
    JOIN rerank.revision r USING (revision_id)
    JOIN rerank.run u USING (run_id)
    WHERE r.pipeline = :pipeline AND u.claimed_at < :before
      AND (r.document_id IS NOT NULL OR EXISTS (SELECT FROM rerank.quarantine q WHERE q.revision_id = r.revision_id))
    ORDER BY t.revision_id
    LIMIT :batch
), gone AS (
    DELETE FROM rerank.revision_text t USING old WHERE t.revision_id = old.revision_id AND NOT :dry_run
)
SELECT count(*) AS found FROM old

-- name: documents
-- Documents that no revision has any more.
SELECT d.document_id
FROM rerank.document d
WHERE NOT EXISTS (SELECT FROM rerank.revision r WHERE r.document_id = d.document_id)
ORDER BY d.document_id
LIMIT :batch

-- name: delete_documents
-- Deletes these documents, unless a revision has one again; their scores go with their month.
WITH alone AS (
    SELECT d.document_id
    FROM rerank.document d
    WHERE d.document_id = ANY(CAST(:document_ids AS bigint[]))
      AND NOT EXISTS (SELECT FROM rerank.revision r WHERE r.document_id = d.document_id)
), aside AS (
    DELETE FROM rerank.score_aside s USING alone WHERE s.document_id = alone.document_id
), refused AS (
    DELETE FROM rerank.refused_pair f USING alone WHERE f.document_id = alone.document_id
)
DELETE FROM rerank.document d USING alone WHERE d.document_id = alone.document_id

-- name: segments
-- Deletes segments of the index of terms that no run has read since.
WITH old AS (
    SELECT segment_id FROM rerank.term_segment WHERE used_at < :before ORDER BY segment_id LIMIT :batch
), gone AS (
    DELETE FROM rerank.term_segment s USING old WHERE s.segment_id = old.segment_id AND NOT :dry_run
)
SELECT count(*) AS found FROM old

-- name: text_scores
-- Deletes scores of texts that no run has claimed, once they are past the ledger's retention.
WITH old AS (
    SELECT scorer_id, query_digest, document_digest FROM rerank.text_score WHERE scored_at < CAST(:before AS date) LIMIT :batch
), gone AS (
    DELETE FROM rerank.text_score t USING old
    WHERE t.scorer_id = old.scorer_id AND t.query_digest = old.query_digest AND t.document_digest = old.document_digest AND NOT :dry_run
)
SELECT count(*) AS found FROM old

-- name: months
-- The ledger's months, and whether an article that may still be ranked has its scores there, or its cluster's leader has.
-- A recent run may rank it, or the next run of a pipeline, whose window is as long as the window of the run before.
WITH windows AS (
    SELECT u.pipeline,
           least(CAST(:fresh_since AS timestamptz), min(u.fresh_since) FILTER (WHERE u.created_at >= :grace),
                 min(CAST(:grace AS timestamptz) - (u.until - u.fresh_since)) FILTER (WHERE u.is_latest)) AS since
    FROM (SELECT *, run_id = max(run_id) OVER (PARTITION BY pipeline) AS is_latest FROM rerank.run) u
    GROUP BY u.pipeline
)
SELECT m.month, m.bytes, m.month < CAST(:before AS date) AS old,
       m.month < CAST(:before AS date) AND (EXISTS (
           SELECT FROM rerank.document d
           JOIN rerank.revision r USING (document_id)
           JOIN windows w ON w.pipeline = r.pipeline AND r.first_ingested_at >= w.since
           WHERE d.month = m.month
       ) OR EXISTS (
           SELECT FROM rerank.document d
           JOIN rerank.near_copy n ON n.leader_document_id = d.document_id
           JOIN rerank.revision r ON r.pipeline = n.pipeline AND r.document_id = n.document_id
           JOIN windows w ON w.pipeline = r.pipeline AND r.first_ingested_at >= w.since
           WHERE d.month = m.month
       )) AS needed
FROM (SELECT CAST(NULLIF(split_part(pg_get_expr(c.relpartbound, c.oid), '''', 2), '') AS date) AS month, pg_total_relation_size(c.oid) AS bytes
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = CAST('rerank.pair_score' AS regclass)) m
ORDER BY m.month

-- name: drop_month
-- Drops a month of the ledger. Readers and writers of the ledger wait behind this statement, so it gives up soon.
SELECT set_config('lock_timeout', '3s', true), rerank.drop_month(CAST(:month AS date)) AS dropped
