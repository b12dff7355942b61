-- The publish gate: what it decided, the scores that count for nothing meanwhile, and the drift of each topic's scores.

-- Every decision is kept; the latest one of a run holds.
CREATE TABLE rerank.gate (
    gate_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id     bigint NOT NULL REFERENCES rerank.run,
    verdict    text NOT NULL CHECK (verdict IN ('blocked', 'passed', 'approved')),   -- passed: after a block, by a later try
    sentence   text NOT NULL CHECK (btrim(sentence) <> ''),   -- which check and by how much; of an approval, why
    fence      integer NOT NULL,          -- of the try that was judged
    actor      text NOT NULL DEFAULT session_user,
    decided_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX gate_run ON rerank.gate (run_id, gate_id DESC);

-- Scores that are not in the ledger, so that whoever reads it finds none: those of a run that is blocked, until it is
-- approved or scored anew; and those that a rescoring run has replaced, until the gate has let it pass.
CREATE TABLE rerank.score_aside (
    aside_for   bigint NOT NULL REFERENCES rerank.run,   -- the run that is blocked, or that has replaced it
    month       date NOT NULL,
    document_id bigint NOT NULL,
    query_id    bigint NOT NULL,
    scorer_id   integer NOT NULL,
    logit       real NOT NULL,
    truncated   boolean NOT NULL,
    run_id      bigint NOT NULL,
    shard       integer NOT NULL,
    latency_ms  real NOT NULL,
    engine      text NOT NULL,
    device      text NOT NULL,
    scored_at   timestamptz NOT NULL,
    PRIMARY KEY (aside_for, scorer_id, query_id, document_id, run_id)
);
CREATE INDEX score_aside_document ON rerank.score_aside (document_id);

-- Runs that were opened before the gate was there have kept no canary, and the earliest of them no counts of the window.
ALTER TABLE rerank.run ADD COLUMN gated boolean NOT NULL DEFAULT false;
ALTER TABLE rerank.run ALTER COLUMN gated SET DEFAULT true;

ALTER TABLE rerank.publication ADD COLUMN blocked text;   -- the gate's sentence; null: the page is what its run made

-- Population stability index of the topic's new logits against those of earlier runs; null: too few of either.
ALTER TABLE rerank.run_topic ADD COLUMN psi double precision;
