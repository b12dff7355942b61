-- The spine: article source, topics, runs, claims, documents, ledger, publications, frontends' views.

-- ── Article source ──────────────────────────────────────────────────────────────────────────────

CREATE SEQUENCE rerank.article_version;

CREATE TABLE rerank.article (
    article_id   text PRIMARY KEY CHECK (article_id <> ''),
    version      bigint NOT NULL DEFAULT nextval('rerank.article_version'),
    ingested_at  timestamptz NOT NULL DEFAULT now(),
    title        text NOT NULL DEFAULT '',
    url          text,
    summary      text,
    body         text,
    lang         text,
    source       text,
    published_at timestamptz
);
ALTER SEQUENCE rerank.article_version OWNED BY rerank.article.version;
CREATE INDEX article_ingested_at ON rerank.article (ingested_at);
COMMENT ON TABLE rerank.article IS 'Default article source; a user may map a table of his own instead.';

CREATE FUNCTION rerank.article_next_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := nextval('rerank.article_version');
    RETURN NEW;
END $$;

CREATE TRIGGER article_next_version BEFORE UPDATE ON rerank.article FOR EACH ROW
    WHEN ((OLD.title, OLD.url, OLD.summary, OLD.body, OLD.lang, OLD.source, OLD.published_at)
          IS DISTINCT FROM
          (NEW.title, NEW.url, NEW.summary, NEW.body, NEW.lang, NEW.source, NEW.published_at))
    EXECUTE FUNCTION rerank.article_next_version();

CREATE VIEW rerank.source_article AS
SELECT article_id, version::text AS version, ingested_at, url, title, summary, body, lang, source, published_at
FROM rerank.article;

-- ── Topics ──────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE rerank.topic (
    topic_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline text NOT NULL,
    slug     text NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    UNIQUE (pipeline, slug)
);

CREATE TABLE rerank.topic_version (
    topic_version_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic_id         bigint NOT NULL REFERENCES rerank.topic,
    number           integer NOT NULL CHECK (number > 0),
    query            text NOT NULL,
    queries          jsonb NOT NULL,   -- document language → query
    instruction      text NOT NULL,
    languages        text[] NOT NULL,
    must             text[] NOT NULL,
    must_not         text[] NOT NULL,
    candidate_limit  integer NOT NULL CHECK (candidate_limit > 0),
    top_k            integer NOT NULL CHECK (top_k > 0),
    min_score        double precision,
    half_life_hours  double precision NOT NULL CHECK (half_life_hours > 0),
    active           boolean NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (topic_id, number)
);

CREATE FUNCTION rerank.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% rows are never changed: a new state is a new row', TG_TABLE_NAME;
END $$;

CREATE TRIGGER topic_version_is_immutable BEFORE UPDATE ON rerank.topic_version
    FOR EACH ROW EXECUTE FUNCTION rerank.refuse_change();

CREATE TABLE rerank.query (
    query_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest      bytea NOT NULL UNIQUE,   -- sha256 of exactly the instruction and query that reach the model
    instruction text NOT NULL,
    query       text NOT NULL
);

-- ── Runs ────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE rerank.scorer (
    scorer_id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest              text NOT NULL UNIQUE,
    family              text NOT NULL,
    weights_digest      text NOT NULL,
    prompt_digest       text NOT NULL,
    precision           text NOT NULL,
    max_document_tokens integer NOT NULL,
    location            text NOT NULL,   -- where it was first found; not part of its identity
    registered_at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE rerank.run (
    run_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline     text NOT NULL,
    key          text NOT NULL,          -- partition date in UTC, or the dag run's id
    since        timestamptz NOT NULL,
    fresh_since  timestamptz NOT NULL,
    until        timestamptz NOT NULL,   -- the run's as-of time
    topics       text[],                 -- slugs the run is limited to; null: all
    rescore      boolean NOT NULL,
    fence        integer NOT NULL DEFAULT 0,
    scorer_id    integer REFERENCES rerank.scorer,
    members_path text, members_sha256 text,
    pairs_path   text, pairs_sha256 text,
    light_path   text, light_sha256 text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    claimed_at   timestamptz,
    sighted bigint, claimed bigint, unchanged bigint, too_late bigint, later bigint, invalid bigint,   -- source rows
    prepared_at  timestamptz,
    frozen_at    timestamptz,            -- members, candidates, topic versions and scorer
    published_at timestamptz,
    degraded     boolean NOT NULL DEFAULT false,
    UNIQUE (pipeline, key)
);

CREATE TABLE rerank.run_topic (
    run_id           bigint NOT NULL REFERENCES rerank.run,
    slug             text NOT NULL,
    topic_version_id bigint NOT NULL REFERENCES rerank.topic_version,
    selected         boolean NOT NULL,   -- false: carried forward by a run limited to other topics
    filling          boolean NOT NULL,   -- the freshness window was recalled, not only what was claimed
    previous_scorer_id integer REFERENCES rerank.scorer,   -- ranks the topic until its fill is complete
    left_out         integer NOT NULL,   -- pairs over the run's budget
    PRIMARY KEY (run_id, slug)
);

CREATE TABLE rerank.run_metric (
    run_id      bigint NOT NULL REFERENCES rerank.run,
    stage       text NOT NULL,
    name        text NOT NULL,
    value       double precision NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, stage, name)
);

-- ── Claims and documents ────────────────────────────────────────────────────────────────────────

CREATE TABLE rerank.document (
    document_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest      bytea NOT NULL UNIQUE,
    month       date NOT NULL,           -- ledger partition of all its scores
    lang        text NOT NULL,
    length      integer NOT NULL,        -- characters
    text        text NOT NULL,
    terms       text NOT NULL            -- BM25 terms, separated by one space
);

CREATE TABLE rerank.revision (
    revision_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline          text NOT NULL,
    article_id        text NOT NULL,
    number            integer NOT NULL,
    version           text NOT NULL,
    run_id            bigint NOT NULL REFERENCES rerank.run,
    ingested_at       timestamptz NOT NULL,
    first_ingested_at timestamptz NOT NULL,
    published_at      timestamptz,
    url               text,
    source            text,
    lang              text,              -- as the source claims it
    title             text,              -- cleaned, for display; null until prepared
    document_id       bigint REFERENCES rerank.document,
    UNIQUE (pipeline, article_id, number)
);
CREATE INDEX revision_run ON rerank.revision (run_id);
CREATE INDEX revision_fresh ON rerank.revision (pipeline, first_ingested_at);

-- Raw text as it was claimed; kept apart, so that it can be forgotten before the ranking is.
CREATE TABLE rerank.revision_text (
    revision_id bigint PRIMARY KEY REFERENCES rerank.revision,
    title       text,
    summary     text,
    body        text
);

-- The latest claimed version of each article: what the next claim compares the source with.
CREATE TABLE rerank.claim (
    pipeline          text NOT NULL,
    article_id        text NOT NULL,
    version           text NOT NULL,
    number            integer NOT NULL,
    first_ingested_at timestamptz NOT NULL,
    PRIMARY KEY (pipeline, article_id)
);

CREATE TABLE rerank.quarantine (
    revision_id bigint NOT NULL REFERENCES rerank.revision,
    stage       text NOT NULL,
    reason      text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (revision_id, stage)
);

-- ── Ledger ──────────────────────────────────────────────────────────────────────────────────────

-- One score per (document, query, scorer). A document's scores all stand in its month's partition,
-- so the key is unique over the whole ledger, and retention drops partitions.
CREATE TABLE rerank.pair_score (
    month       date NOT NULL,
    document_id bigint NOT NULL,
    query_id    bigint NOT NULL,
    scorer_id   integer NOT NULL,
    logit       real NOT NULL CHECK (logit NOT IN ('NaN', 'Infinity', '-Infinity')),
    truncated   boolean NOT NULL,
    run_id      bigint NOT NULL,         -- provenance from here on
    shard       integer NOT NULL,
    latency_ms  real NOT NULL,
    engine      text NOT NULL,
    device      text NOT NULL,
    scored_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scorer_id, query_id, document_id, month)
) PARTITION BY RANGE (month);
CREATE INDEX pair_score_run ON rerank.pair_score USING brin (run_id) WITH (pages_per_range = 16);

CREATE FUNCTION rerank.ensure_month(wanted date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text := 'pair_score_' || to_char(wanted, 'YYYY_MM');
BEGIN
    IF to_regclass('rerank.' || name) IS NOT NULL THEN RETURN; END IF;
    PERFORM pg_advisory_xact_lock(hashtext('rerank.ensure_month'));
    EXECUTE format('CREATE TABLE IF NOT EXISTS rerank.%I PARTITION OF rerank.pair_score FOR VALUES FROM (%L) TO (%L)',
                   name, date_trunc('month', wanted)::date, (date_trunc('month', wanted) + interval '1 month')::date);
END $$;

-- Pairs that a scorer refused, with the reason: in quarantine, and not asked for again.
CREATE TABLE rerank.refused_pair (
    document_id bigint NOT NULL REFERENCES rerank.document,
    query_id    bigint NOT NULL REFERENCES rerank.query,
    scorer_id   integer NOT NULL REFERENCES rerank.scorer,
    reason      text NOT NULL,
    run_id      bigint NOT NULL REFERENCES rerank.run,
    refused_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scorer_id, query_id, document_id)
);

-- A try to score a shard that has begun and not come to its end. The next one that finds it goes carefully:
-- the engine failed, or the task was killed, with some pair in it.
CREATE TABLE rerank.scoring_attempt (
    run_id            bigint NOT NULL REFERENCES rerank.run,
    shard             integer NOT NULL,
    failures          integer NOT NULL DEFAULT 0,   -- tries in a row that did not come to their end
    alone_query_id    bigint,                       -- the pair that is in the engine by itself
    alone_document_id bigint,
    alone_times       integer NOT NULL DEFAULT 0,   -- tries in a row that ended with it there
    begun_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, shard)
);

-- A topic's queries are filled under a scorer when the best of the whole freshness window was scored.
CREATE TABLE rerank.fill (
    pipeline       text NOT NULL,
    slug           text NOT NULL,
    recall_digest bytea NOT NULL,
    scorer_id      integer NOT NULL REFERENCES rerank.scorer,
    run_id         bigint NOT NULL REFERENCES rerank.run,
    filled_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, slug, recall_digest, scorer_id)
);

-- ── Publications ────────────────────────────────────────────────────────────────────────────────

CREATE TABLE rerank.publication (
    publication_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline       text NOT NULL,
    run_id         bigint NOT NULL REFERENCES rerank.run,
    version        integer NOT NULL,
    fence          integer NOT NULL,
    as_of          timestamptz NOT NULL,
    parquet_path   text NOT NULL,
    parquet_sha256 text NOT NULL,
    rows_sha256    text NOT NULL,        -- over the canonical rows: equal for equal rankings
    row_count      integer NOT NULL,
    degraded       boolean NOT NULL,
    difference     text,                 -- why rows differ from the run's version before; null: they do not
    published_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (run_id, version)
);

CREATE TABLE rerank.ranking (
    publication_id    bigint NOT NULL REFERENCES rerank.publication,
    slug              text NOT NULL,
    rank              integer NOT NULL CHECK (rank > 0),
    article_id        text NOT NULL,
    revision_id       bigint NOT NULL,
    document_id       bigint NOT NULL,
    topic_version_id  bigint NOT NULL,
    scorer_id         integer,
    ranked_by         text NOT NULL CHECK (ranked_by IN ('model', 'bm25')),
    logit             real,
    rank_score        double precision,
    light_score       real,
    truncated         boolean NOT NULL,
    is_new            boolean NOT NULL,
    copies            integer NOT NULL,
    title             text NOT NULL,
    url               text,
    source            text,
    lang              text NOT NULL,
    published_at      timestamptz,
    first_ingested_at timestamptz NOT NULL,
    PRIMARY KEY (publication_id, slug, rank),
    CHECK ((ranked_by = 'model') = (logit IS NOT NULL))
);

CREATE TABLE rerank.ranking_topic (
    publication_id   bigint NOT NULL REFERENCES rerank.publication,
    slug             text NOT NULL,
    topic_version_id bigint NOT NULL,
    scorer_id        integer,
    state            text NOT NULL CHECK (state IN ('full', 'partial', 'abstained', 'degraded', 'stale')),
    candidates       integer NOT NULL,
    from_ledger      integer NOT NULL,
    scored           integer NOT NULL,
    refused          integer NOT NULL,
    missing          integer NOT NULL,
    left_out         integer NOT NULL,
    ranked           integer NOT NULL,
    PRIMARY KEY (publication_id, slug)
);

-- The pointer: the publication that frontends see. Every move of it is kept.
CREATE TABLE rerank.pointer (
    pipeline       text PRIMARY KEY,
    publication_id bigint NOT NULL REFERENCES rerank.publication,
    held           boolean NOT NULL DEFAULT false,   -- a rollback holds until it is released
    moved_at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE rerank.pointer_move (
    pointer_move_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline            text NOT NULL,
    from_publication_id bigint,
    to_publication_id   bigint NOT NULL,
    reason              text NOT NULL,
    actor               text NOT NULL DEFAULT session_user,
    moved_at            timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE rerank.block (
    pipeline   text NOT NULL,
    article_id text NOT NULL,
    reason     text NOT NULL,
    blocked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, article_id)
);

-- ── What frontends read ─────────────────────────────────────────────────────────────────────────

CREATE VIEW rerank.current_ranking AS
SELECT p.pipeline, r.slug AS topic, r.rank, r.article_id, r.title, r.url, r.source, r.lang,
       r.published_at, r.first_ingested_at, r.ranked_by, r.logit,
       CASE WHEN r.logit IS NOT NULL   -- least and greatest pass over a null
            THEN 1 / (1 + exp(-greatest(-700, least(700, r.logit::double precision)))) END AS probability,
       r.rank_score, r.light_score,
       r.truncated, r.is_new, r.copies,
       p.as_of, p.run_id, p.version, p.publication_id, r.topic_version_id, r.revision_id, r.document_id,
       r.scorer_id, p.fence AS attempt
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
JOIN rerank.ranking r USING (publication_id)
WHERE NOT EXISTS (SELECT FROM rerank.block b WHERE b.pipeline = p.pipeline AND b.article_id = r.article_id);

CREATE VIEW rerank.current_topic AS
SELECT p.pipeline, t.slug AS topic, v.query, p.as_of, t.state, t.candidates, t.from_ledger, t.scored, t.refused, t.missing,
       t.left_out, t.ranked, p.degraded AS page_degraded,
       p.run_id, p.version, p.publication_id, t.topic_version_id, t.scorer_id,
       p.parquet_path, p.parquet_sha256, p.published_at
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
JOIN rerank.ranking_topic t USING (publication_id)
JOIN rerank.topic_version v USING (topic_version_id);
