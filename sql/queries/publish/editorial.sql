-- name: of_run
-- The acts that a run follows. A run that has been published follows those that it kept, whatever became of them since; else
-- the newest run follows those that stand now, and a run of the past those that stood at its as-of time.
WITH of_run AS (
    SELECT u.run_id, u.pipeline,
           EXISTS (SELECT FROM rerank.publication p WHERE p.run_id = u.run_id AND p.published_at >= u.frozen_at) AS is_kept,
           CASE WHEN EXISTS (SELECT FROM rerank.run o
                             WHERE o.pipeline = u.pipeline AND o.published_at IS NOT NULL
                               AND (o.until, o.claimed_at) > (u.until, u.claimed_at))
                THEN u.until ELSE now() END AS at
    FROM rerank.run u
    WHERE u.run_id = :run_id
)
SELECT a.act_id, a.slug, a.article_id, a.kind, a.amount, a.made_at, a.ends_at, a.actor, a.on_behalf_of, a.reason
FROM of_run u
JOIN rerank.editorial_act a USING (pipeline)
WHERE a.article_id IS NOT NULL   -- not forgotten
  AND CASE WHEN u.is_kept THEN EXISTS (SELECT FROM rerank.run_act k WHERE k.run_id = u.run_id AND k.act_id = a.act_id)
           ELSE a.made_at <= u.at AND a.ends_at > u.at AND (a.undone_at IS NULL OR a.undone_at > u.at) END
ORDER BY a.act_id

-- name: drop
-- A run that was frozen early is published again: acts that it follows no more.
DELETE FROM rerank.run_act k
USING rerank.editorial_act a
WHERE k.run_id = :run_id AND k.act_id = a.act_id AND a.article_id IS NOT NULL AND k.act_id <> ALL(CAST(:act_ids AS bigint[]))

-- name: keep
-- A rerun follows what stood when the run was first published.
INSERT INTO rerank.run_act (run_id, act_id)
SELECT :run_id, act_id FROM unnest(CAST(:act_ids AS bigint[])) AS a (act_id)
ORDER BY act_id
ON CONFLICT DO NOTHING

-- name: kept
-- The acts that a run has kept.
SELECT act_id FROM rerank.run_act WHERE run_id = :run_id ORDER BY act_id

-- name: signatures
-- The near-copy signatures of documents; a text that is too short has none.
SELECT document_id, signature FROM rerank.document
WHERE document_id = ANY(CAST(:document_ids AS bigint[])) AND signature IS NOT NULL
