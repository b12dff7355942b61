-- name: latest
-- The run's latest version, to tell whether a rerun gives the same rows.
SELECT p.publication_id, p.pipeline, p.run_id, p.version, p.rows_sha256, p.trimmed, p.blocked, p.withdrawn_at IS NOT NULL AS withdrawn,
       (SELECT COALESCE(sum(t.missing), 0) FROM rerank.ranking_topic t WHERE t.publication_id = p.publication_id) AS missing,
       p.published_at < u.frozen_at AS early   -- made before the run was frozen for good
FROM rerank.publication p
JOIN rerank.run u USING (run_id)
WHERE p.run_id = :run_id
ORDER BY p.version DESC
LIMIT 1

-- name: add_hidden
-- Keep what a publication leaves out of its window, and why.
INSERT INTO rerank.publication_hidden (publication_id, article_id, why)
SELECT :publication_id, article_id, why
FROM unnest(CAST(:article_ids AS text[]), CAST(:whys AS text[])) AS h (article_id, why)
ORDER BY article_id

-- name: move_pointer
-- Frontends see this publication from the commit on, if the rules of the function allow it; a row says that the pointer moved.
SELECT :publication_id AS to_publication_id WHERE rerank.move_pointer(:pipeline, :publication_id)

-- name: done
-- Note on the run that it has a publication. A run that was frozen early still owes what was not prepared: to the pipeline it is
-- a run that was never published.
UPDATE rerank.run SET published_at = CASE WHEN NOT early THEN now() END, degraded = :degraded WHERE run_id = :run_id

-- name: rows
-- The rows of a publication, to name what a rerun changed.
SELECT slug, rank, article_id, COALESCE(scored_document_id, document_id) AS scored_document_id, logit, copies
FROM rerank.ranking
WHERE publication_id = :publication_id
ORDER BY slug, rank

-- name: was_hidden
-- What an earlier publication left out, to tell which articles are shown again.
SELECT article_id, why FROM rerank.publication_hidden WHERE publication_id = :publication_id ORDER BY article_id

-- name: is_newest
-- Whether no later run of the pipeline has been published: later by its as-of time, then by its claim.
SELECT NOT EXISTS (
    SELECT FROM rerank.run other
    WHERE other.pipeline = run.pipeline AND other.published_at IS NOT NULL
      AND (other.until, other.claimed_at) > (run.until, run.claimed_at)
) AS is_newest
FROM rerank.run run
WHERE run.run_id = :run_id

-- name: unfill_topics
-- Pairs of these topics stayed unscored: the next run fills the topics again. The newest run removes only its own fills: a
-- fill of an earlier run is out of date by itself, and still tells which scorer ranks the topic.
DELETE FROM rerank.fill f
USING unnest(CAST(:slugs AS text[]), CAST(:recall_digests AS bytea[])) AS u (slug, recall_digest)
WHERE f.pipeline = :pipeline AND f.slug = u.slug AND f.recall_digest = u.recall_digest AND f.scorer_id = :scorer_id
  AND (f.run_id = :run_id OR NOT :is_newest)

-- name: fill_topics
-- All pairs that the newest run asked for are scored: these topics are filled, under this scorer alone.
WITH whole AS (
    SELECT slug, recall_digest FROM unnest(CAST(:slugs AS text[]), CAST(:recall_digests AS bytea[])) AS w (slug, recall_digest)
), overtaken AS (
    DELETE FROM rerank.fill f USING whole w
    WHERE f.pipeline = :pipeline AND f.slug = w.slug AND (f.recall_digest <> w.recall_digest OR f.scorer_id <> :scorer_id)
)
INSERT INTO rerank.fill (pipeline, slug, recall_digest, scorer_id, run_id)
SELECT :pipeline, slug, recall_digest, :scorer_id, :run_id FROM whole ORDER BY slug
ON CONFLICT (pipeline, slug, recall_digest, scorer_id) DO UPDATE SET run_id = EXCLUDED.run_id, filled_at = now()
