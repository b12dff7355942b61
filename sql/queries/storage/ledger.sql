-- name: ensure_month
-- The partition that a month's documents keep their scores in.
SELECT rerank.ensure_month(CAST(:month AS date))

-- name: make_batch
-- Holds scores until they are merged into the ledger; a transaction may bring several batches.
CREATE TEMP TABLE IF NOT EXISTS new_score (
    month       date,
    document_id bigint,
    query_id    bigint,
    logit       real,
    truncated   boolean,
    latency_ms  real
) ON COMMIT DROP

-- name: replace
-- A run that rescores puts its own score in the place of an older one, which is kept until the gate has let the run pass;
-- what another of its tries has written stays.
WITH replaced AS (
    INSERT INTO rerank.score_aside (aside_for, month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms,
                                    engine, device, host, scored_at)
    SELECT :run_id, s.month, s.document_id, s.query_id, s.scorer_id, s.logit, s.truncated, s.run_id, s.shard, s.latency_ms,
           s.engine, s.device, s.host, s.scored_at
    FROM pg_temp.new_score n
    JOIN rerank.pair_score s ON s.scorer_id = :scorer_id AND s.query_id = n.query_id AND s.document_id = n.document_id AND s.month = n.month
    WHERE s.run_id <> :run_id
    ON CONFLICT DO NOTHING
)
INSERT INTO rerank.pair_score (month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine, device, host)
SELECT month, document_id, query_id, :scorer_id, logit, truncated, :run_id, :shard, latency_ms, :engine, :device, :host
FROM pg_temp.new_score
ORDER BY query_id, document_id
ON CONFLICT (scorer_id, query_id, document_id, month) DO UPDATE
SET logit = EXCLUDED.logit, truncated = EXCLUDED.truncated, run_id = EXCLUDED.run_id, shard = EXCLUDED.shard,
    latency_ms = EXCLUDED.latency_ms, engine = EXCLUDED.engine, device = EXCLUDED.device, host = EXCLUDED.host, scored_at = now()
WHERE rerank.pair_score.run_id <> EXCLUDED.run_id

-- name: add
-- A pair that has a score keeps it.
INSERT INTO rerank.pair_score (month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine, device, host)
SELECT month, document_id, query_id, :scorer_id, logit, truncated, :run_id, :shard, latency_ms, :engine, :device, :host
FROM pg_temp.new_score
ORDER BY query_id, document_id
ON CONFLICT (scorer_id, query_id, document_id, month) DO NOTHING

-- name: hold_run
-- The gate waits for this chunk before it blocks the run, or this chunk for the gate.
SELECT run_id FROM rerank.run WHERE run_id = :run_id FOR KEY SHARE

-- name: blocked
-- Whether the gate has blocked the run since a try began.
SELECT EXISTS (SELECT FROM rerank.gate WHERE run_id = :run_id AND verdict = 'blocked' AND fence > :fence) AS blocked

-- name: lookup
-- What the ledger holds of each of these queries, for documents of a month that came one after the other; with :run_id, of what that
-- run wrote. 8 bytes an id, 4 bytes a logit, side by side; and the ids of the documents that were cut.
SELECT int8send(query_id), string_agg(int8send(document_id), '') AS document_ids, string_agg(float4send(logit), '') AS logits,
       string_agg(int8send(document_id), '') FILTER (WHERE truncated) AS truncated_ids
FROM rerank.pair_score
WHERE scorer_id = :scorer_id
  AND query_id = ANY(CAST(:query_ids AS bigint[]))
  AND month = CAST(:month AS date)
  AND document_id BETWEEN :first AND :last
  AND (CAST(:run_id AS bigint) IS NULL OR run_id = :run_id)
GROUP BY query_id
ORDER BY query_id

-- name: scored_documents
-- Which documents of a month, that came one after the other, have a score for each of these queries: 8 bytes an id.
SELECT int8send(query_id), string_agg(int8send(document_id), '') AS document_ids
FROM rerank.pair_score
WHERE scorer_id = :scorer_id
  AND query_id = ANY(CAST(:query_ids AS bigint[]))
  AND month = CAST(:month AS date)
  AND document_id BETWEEN :first AND :last
GROUP BY query_id
ORDER BY query_id

-- name: documents
-- Which of these documents are there; that of a forgotten article is not.
SELECT document_id FROM rerank.document WHERE document_id = ANY(CAST(:document_ids AS bigint[])) ORDER BY document_id

-- name: refused
-- Documents that a scorer refused for these queries.
SELECT query_id, document_id
FROM rerank.refused_pair
WHERE scorer_id = :scorer_id AND query_id = ANY(CAST(:query_ids AS bigint[]))
ORDER BY query_id, document_id

-- name: refusals
-- Why a scorer refused pairs of these queries: one reason for each query.
SELECT DISTINCT ON (query_id) query_id, reason
FROM rerank.refused_pair
WHERE scorer_id = :scorer_id AND query_id = ANY(CAST(:query_ids AS bigint[]))
ORDER BY query_id, document_id

-- name: add_refused
-- A refused pair is not asked for again under this scorer. Its document may be gone by now.
INSERT INTO rerank.refused_pair (document_id, query_id, scorer_id, reason, run_id)
SELECT r.document_id, r.query_id, :scorer_id, r.reason, :run_id
FROM unnest(CAST(:document_ids AS bigint[]), CAST(:query_ids AS bigint[]), CAST(:reasons AS text[])) AS r (document_id, query_id, reason)
JOIN rerank.document d USING (document_id)
ORDER BY r.query_id, r.document_id
FOR KEY SHARE OF d
ON CONFLICT DO NOTHING
