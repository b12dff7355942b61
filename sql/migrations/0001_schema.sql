-- The whole schema, in the order in which an article passes through it: source · topics · models · runs · claims · documents ·
-- ledger · publications · what is hidden · views · functions. Runs come before claims, because a claim names its run.

-- ── What columns may hold ───────────────────────────────────────────────────────────────────────

-- A path of the store. Whoever deletes a file by its path must not be led out of the store: no part is empty, `.` or `..`.
CREATE FUNCTION rerank.stays_in_store(path text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
SELECT length(path) <= 1000 AND path ~ '^[a-z0-9][a-z0-9._-]{0,249}(/[a-z0-9][a-z0-9._-]{0,249})*/?$'
$$;

-- Who has done something is the role that has logged in, whatever the statement says.
CREATE FUNCTION rerank.sign() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.actor := session_user;
    RETURN NEW;
END $$;

-- The person whom that role worked for, as the transaction says; null: nobody said so. Trust it as far as you trust the role.
CREATE FUNCTION rerank.asked_by() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT nullif(btrim(current_setting('rerank.asked_by', true)), '')
$$;

-- ── Source ──────────────────────────────────────────────────────────────────────────────────────

CREATE SEQUENCE rerank.article_version;

-- The key's index holds all that a claim compares: the claim of a few new articles does not read the texts of a million old
-- ones. A source of the user's own wants such an index, too.
CREATE TABLE rerank.article (
    article_id   text CHECK (article_id <> ''),
    version      bigint NOT NULL DEFAULT nextval('rerank.article_version'),
    ingested_at  timestamptz NOT NULL DEFAULT now(),
    title        text NOT NULL DEFAULT '',
    url          text,
    summary      text,
    body         text,
    lang         text,
    source       text,
    published_at timestamptz,
    PRIMARY KEY (article_id) INCLUDE (version, ingested_at)
);
COMMENT ON TABLE rerank.article IS 'The default source: one row for each article. A user may map a table or view of his own instead.';
ALTER SEQUENCE rerank.article_version OWNED BY rerank.article.version;
CREATE INDEX article_ingested_at ON rerank.article (ingested_at);

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
COMMENT ON VIEW rerank.source_article IS 'The default source as the pipeline reads it: the columns of the source contract.';

-- Pictures and clips of articles. A changed picture gives no article a new version: a pipeline that uses media looks by itself.
CREATE TABLE rerank.article_medium (
    article_id text NOT NULL REFERENCES rerank.article ON DELETE CASCADE,
    place      integer NOT NULL CHECK (place > 0),
    kind       text NOT NULL CHECK (kind IN ('picture', 'video')),
    sha256     text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),   -- of the content
    content    bytea,   -- null: it is a file of the store
    path       text,    -- below the prefix that the settings name
    caption    text,
    alt        text,
    PRIMARY KEY (article_id, place),
    CHECK (num_nonnulls(content, path) = 1)
);
COMMENT ON TABLE rerank.article_medium IS 'The default source of media: pictures and clips of articles, in their order.';

CREATE VIEW rerank.source_media AS
SELECT article_id, place, kind, sha256, content, path, caption, alt FROM rerank.article_medium;
COMMENT ON VIEW rerank.source_media IS 'The default source of media as the pipeline reads it: the columns of the contract of media.';

-- ── Topics ──────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE rerank.topic (
    topic_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline text NOT NULL,
    slug     text NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    UNIQUE (pipeline, slug)
);
COMMENT ON TABLE rerank.topic IS 'A topic of a pipeline. What it asks for is in topic_version.';

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
    max_per_source   integer CHECK (max_per_source > 0),   -- rows of one source on the page; null: any number
    diversity        double precision NOT NULL DEFAULT 0 CHECK (diversity BETWEEN 0 AND 1),   -- 0: off
    UNIQUE (topic_id, number)
);
COMMENT ON TABLE rerank.topic_version IS 'One version of a topic: query, instruction and limits. A row is never changed; an edit adds a version.';

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
COMMENT ON TABLE rerank.query IS 'An instruction and a query as they reach the model. Topics with equal texts share a row, and so share scores.';

-- ── Models ──────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE rerank.scorer (
    scorer_id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest              text NOT NULL UNIQUE,
    family              text NOT NULL,
    weights_digest      text NOT NULL,
    prompt_digest       text NOT NULL,
    precision           text NOT NULL,
    max_document_tokens integer NOT NULL,
    location            text NOT NULL,   -- where it was first found; not part of its identity
    registered_at       timestamptz NOT NULL DEFAULT now(),
    passages            text NOT NULL    -- what it reads of a long document
);
COMMENT ON TABLE rerank.scorer IS 'A scorer: weights, prompt, precision, token limit and passages mode as one id. Scores of two scorers are never mixed.';

CREATE TABLE rerank.embedder (
    embedder_id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest              text NOT NULL UNIQUE,
    family              text NOT NULL,
    weights_digest      text NOT NULL,
    prompt_digest       text NOT NULL,
    precision           text NOT NULL,
    max_document_tokens integer NOT NULL,
    dimensions          integer NOT NULL CHECK (dimensions > 0),
    location            text NOT NULL,   -- where it was first found; not part of its identity
    registered_at       timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE rerank.embedder IS 'An embedding model: weights, prompt, precision and token limit as one id.';

-- Vectors of queries are read by their ids and never searched. Those of documents have a table for each embedder, which
-- ensure_vectors makes when the embedder is first used: only that needs pgvector.
CREATE TABLE rerank.query_vector (
    embedder_id integer NOT NULL REFERENCES rerank.embedder ON DELETE CASCADE,
    query_id    bigint NOT NULL REFERENCES rerank.query ON DELETE CASCADE,
    vector      bytea NOT NULL,   -- half precision, little-endian
    PRIMARY KEY (embedder_id, query_id)
);
COMMENT ON TABLE rerank.query_vector IS 'Vectors of queries: read by their ids and never searched.';

-- ── Runs ────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE rerank.run (
    run_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline       text NOT NULL,
    key            text NOT NULL,          -- partition date in UTC, or the dag run's id
    since          timestamptz NOT NULL,
    fresh_since    timestamptz NOT NULL,
    until          timestamptz NOT NULL,   -- the run's as-of time
    topics         text[],                 -- slugs that the run is limited to; null: all
    rescore        boolean NOT NULL,
    as_claimed_now boolean NOT NULL DEFAULT false,   -- later runs' claims count, too: a past hour that others have claimed
    fence          integer NOT NULL DEFAULT 0,
    scorer_id      integer REFERENCES rerank.scorer,
    members_path   text CHECK (rerank.stays_in_store(members_path)),
    members_sha256 text,
    pairs_path     text CHECK (rerank.stays_in_store(pairs_path)),
    pairs_sha256   text,
    light_path     text CHECK (rerank.stays_in_store(light_path)),
    light_sha256   text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    claimed_at     timestamptz,
    sighted        bigint,                 -- this and the next five: source rows, by what became of them
    claimed        bigint,
    unchanged      bigint,
    too_late       bigint,
    later          bigint,
    invalid        bigint,
    dates_ignored  bigint,                 -- claimed rows whose date means none or is long before ingestion
    prepared_at    timestamptz,
    frozen_at      timestamptz,            -- members, candidates, topic versions and scorer
    published_at   timestamptz,
    degraded       boolean NOT NULL DEFAULT false,
    forgotten      bigint,                 -- source rows whose article is forgotten; null: claimed before they were counted
    opened_by      text DEFAULT session_user,
    on_behalf_of   text DEFAULT rerank.asked_by(),
    embedder_id    integer REFERENCES rerank.embedder,   -- whose vectors recall may search; null: none
    recall         text,                   -- strategy and embedder that the candidates were found by
    busy_since     timestamptz,            -- when the try began that holds the fence; null: it has ended
    gated          boolean NOT NULL DEFAULT true,   -- false: opened before the gate was there
    early          boolean NOT NULL DEFAULT false,  -- frozen for a late page, before all that it claimed was prepared
    overdue_at     timestamptz,            -- its page was due, and nothing of it could be published; null: that never was so
    silences       jsonb,                  -- streams that were silent at its as-of time; null: not looked for
    UNIQUE (pipeline, key)
);
CREATE INDEX run_overdue ON rerank.run (pipeline, until) WHERE overdue_at IS NOT NULL;
COMMENT ON TABLE rerank.run IS 'One window''s work and output: its identity, its fence, its frozen artifacts and its counts.';

CREATE FUNCTION rerank.sign_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.opened_by := CASE TG_OP WHEN 'INSERT' THEN session_user ELSE OLD.opened_by END;
    RETURN NEW;
END $$;

CREATE TRIGGER run_is_signed BEFORE INSERT OR UPDATE OF opened_by ON rerank.run
    FOR EACH ROW EXECUTE FUNCTION rerank.sign_run();

CREATE TABLE rerank.run_topic (
    run_id                bigint NOT NULL REFERENCES rerank.run,
    slug                  text NOT NULL,
    topic_version_id      bigint NOT NULL REFERENCES rerank.topic_version,
    selected              boolean NOT NULL,   -- false: carried forward by a run that is limited to other topics
    filling               boolean NOT NULL,   -- the freshness window was recalled, not only what was claimed
    previous_scorer_id    integer REFERENCES rerank.scorer,   -- ranks the topic until its fill is complete
    left_out              integer NOT NULL,   -- pairs over the run's budget
    wanted                integer NOT NULL DEFAULT 0,   -- found, and wanted scored
    carried               integer NOT NULL DEFAULT 0,   -- scored before
    ineligible            integer NOT NULL DEFAULT 0,   -- by languages, must or must_not
    not_searched          integer NOT NULL DEFAULT 0,   -- an earlier run has looked at it for this topic
    not_recalled          integer NOT NULL DEFAULT 0,   -- not among the best
    not_recalled_language integer NOT NULL DEFAULT 0,   -- in a language that the topic has no query in
    psi                   double precision,   -- population stability index of the new logits against earlier runs'; null: too few
    min_score             double precision,   -- the pipeline's own threshold, for topics that have none
    PRIMARY KEY (run_id, slug)
);
COMMENT ON TABLE rerank.run_topic IS 'The topics of a run as it has frozen them. The counts from wanted on say where each document of the window went.';

CREATE TABLE rerank.run_metric (
    run_id      bigint NOT NULL REFERENCES rerank.run,
    stage       text NOT NULL,
    name        text NOT NULL,
    value       double precision NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, stage, name)
);
COMMENT ON TABLE rerank.run_metric IS 'Numbers that a stage of a run has measured.';

-- A turn is a row that is locked, and no advisory lock: anybody who can connect may take an advisory lock whose key is known,
-- and so keep the page from being published. The rows are the writer's alone.
CREATE TABLE rerank.turn (name text PRIMARY KEY);
COMMENT ON TABLE rerank.turn IS 'A row for everything that one transaction at a time may do.';
INSERT INTO rerank.turn (name) VALUES ('maintain'), ('months'), ('vectors');   -- those of pipelines come with them

-- ── Documents ───────────────────────────────────────────────────────────────────────────────────

CREATE TABLE rerank.document (
    document_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest          bytea NOT NULL UNIQUE,
    month           date NOT NULL,      -- ledger partition of all its scores
    lang            text NOT NULL,
    length          integer NOT NULL,   -- characters
    text            text NOT NULL,
    terms           text NOT NULL,      -- BM25 terms, separated by one space
    lang_confidence real CHECK (lang_confidence BETWEEN 0 AND 1),   -- null: prepared before it was kept
    flags           text[] NOT NULL DEFAULT '{}',
    signature       bytea,              -- MinHash, 128 × 4 bytes, little-endian; null: too short, or prepared without it
    pictures        text[] NOT NULL DEFAULT '{}'   -- paths of the renditions that the model reads; the digest covers them
);
COMMENT ON TABLE rerank.document IS 'A prepared text, by digest. Equal texts with equal pictures are one document.';
CREATE INDEX document_pictures ON rerank.document USING gin (pictures) WHERE pictures <> '{}';
CREATE INDEX document_flags ON rerank.document (document_id) WHERE flags <> '{}';
COMMENT ON COLUMN rerank.document.flags IS 'stuffed: repeats words as if written for a ranking; pleads: addresses the model';

-- What BM25 counts. A document never changes, so a segment is right for every pipeline and window that has its documents.
CREATE TABLE rerank.term_segment (
    segment_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first_document_id bigint NOT NULL,
    last_document_id  bigint NOT NULL,
    document_ids      bigint[] NOT NULL,   -- ascending
    lengths           bytea NOT NULL,      -- terms of each document, 4 bytes each, little-endian
    postings          bytea NOT NULL,      -- term → documents and counts: an Arrow stream, compressed
    used_at           timestamptz NOT NULL DEFAULT now()   -- when a run last read it, to a day
);
ALTER TABLE rerank.term_segment ALTER COLUMN postings SET STORAGE EXTERNAL;
COMMENT ON TABLE rerank.term_segment IS 'The kept index of BM25: the terms of some documents.';

-- The terms of a document are gone when the document is, whoever deletes it.
CREATE FUNCTION rerank.drop_segments() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM rerank.term_segment s
    WHERE EXISTS (SELECT FROM gone g WHERE g.document_id BETWEEN s.first_document_id AND s.last_document_id)
      AND EXISTS (SELECT FROM gone g JOIN unnest(s.document_ids) d (document_id) USING (document_id));
    RETURN NULL;
END $$;

CREATE TRIGGER terms_are_immutable BEFORE UPDATE OF terms ON rerank.document FOR EACH ROW
    WHEN (OLD.terms IS DISTINCT FROM NEW.terms) EXECUTE FUNCTION rerank.refuse_change();
CREATE TRIGGER segments_go_with_documents AFTER DELETE ON rerank.document REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION rerank.drop_segments();

CREATE TABLE rerank.near_copy (
    pipeline           text NOT NULL,
    document_id        bigint NOT NULL REFERENCES rerank.document ON DELETE CASCADE,
    leader_document_id bigint NOT NULL REFERENCES rerank.document DEFERRABLE INITIALLY DEFERRED,   -- its own: it leads
    similarity         real NOT NULL,          -- to the leader that it joined; 1: it leads
    bands              bytea NOT NULL,         -- of the signature, 32 × 4 bytes, little-endian
    article_id         text NOT NULL,          -- the first article with this text
    first_ingested_at  timestamptz NOT NULL,   -- of this article
    published_at       timestamptz,            -- of this article
    began_at           timestamptz NOT NULL,   -- what the age of a cluster counts from, if this text leads it
    corrects           boolean NOT NULL DEFAULT false,   -- it says that it corrects another text
    promoted_at        timestamptz,            -- its leader was forgotten, and it took the lead; null: it did not
    PRIMARY KEY (pipeline, document_id)
);
COMMENT ON TABLE rerank.near_copy IS 'Every text that could be compared with others, and the leader of the cluster that it joined.';
CREATE INDEX near_copy_cluster ON rerank.near_copy (leader_document_id, pipeline);
CREATE INDEX near_copy_compared ON rerank.near_copy (pipeline, first_ingested_at) WHERE document_id = leader_document_id OR corrects;

-- ── Claims ──────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE rerank.claim (
    pipeline          text NOT NULL,
    article_id        text NOT NULL,
    version           text NOT NULL,
    number            integer NOT NULL,
    first_ingested_at timestamptz NOT NULL,
    PRIMARY KEY (pipeline, article_id) INCLUDE (version)
);
COMMENT ON TABLE rerank.claim IS 'The latest claimed version of each article. The next claim compares the source with it.';

CREATE TABLE rerank.arrival (
    run_id   bigint NOT NULL REFERENCES rerank.run,
    source   text NOT NULL,          -- '': the article names none
    lang     text NOT NULL,          -- of the document; '': there is none
    hour     timestamptz NOT NULL,   -- of first ingestion
    articles integer NOT NULL,
    PRIMARY KEY (run_id, source, lang, hour)
);
COMMENT ON TABLE rerank.arrival IS 'How many new articles each run claimed, by source, language and hour. Silence is told from it.';

-- What an http URL names: host, path and query, without the fragment and without what only tells where a reader comes from.
-- Null: it is no http URL, or it names a whole site. A fragment that begins with "!" names a page of its own.
CREATE FUNCTION rerank.link_of(url text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bare text := regexp_replace(replace(btrim(url, E' \t\r\n\f\u00a0\u3000'), '&amp;', '&'), '#[^!].*|#$', '');
    address text := split_part(bare, '?', 1);
    host text := lower(split_part(address, '/', 3));
    path text := rtrim(substr(address, strpos(address, '//') + 2 + length(host)), '/');
    query text;
BEGIN
    IF address !~* '^https?://' OR host = '' THEN
        RETURN NULL;
    END IF;
    IF bare LIKE '%?%' THEN
        SELECT '?' || string_agg(part, '&' ORDER BY place) INTO query
        FROM string_to_table(substr(bare, length(address) + 2), '&') WITH ORDINALITY AS parts (part, place)
        WHERE part <> '' AND split_part(part, '=', 1) !~* (
            '^(utm_.*|(pk|piwik|mtm)_(campaign|kwd|keyword|source|medium|content|cid|group|placement)|at_[a-z]+|ns_[a-z]+|hsa_.*|_hs(enc|mi)'
            '|(fb|g|d|y|ys|tw|tt|mt)clid|msclkid|gclsrc|[gw]braid|li_fat_id|igsh(id)?|mc_[ce]id|mkt_tok|oly_(anon|enc)_id|vero_id'
            '|ocid|cmpid|ncid|smid|ftag|spm|scm|guccounter|guce_referrer(_sig)?)$');
    END IF;
    RETURN regexp_replace(host, '^.*@|:(80|443)$', '', 'g') || NULLIF(path || COALESCE(query, ''), '');
END
$$;

CREATE TABLE rerank.revision (
    revision_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline          text NOT NULL,
    article_id        text NOT NULL,
    number            integer NOT NULL,
    version           text NOT NULL,
    run_id            bigint NOT NULL REFERENCES rerank.run,
    ingested_at       timestamptz NOT NULL,
    first_ingested_at timestamptz NOT NULL,
    published_at      timestamptz,            -- null: the source does not say, or says a clock's zero
    began_at          timestamptz NOT NULL,   -- what the article's age counts from
    url               text,
    source            text,
    lang              text,   -- as the source claims it
    title             text,   -- cleaned, for display; null until prepared
    document_id       bigint REFERENCES rerank.document,
    letters_in        integer,                -- of the visible text of title, summary and body; null until prepared
    letters_out       integer,                -- of what prepare left of them
    media             text,                   -- print of its media when it was claimed; null: none, or not looked for
    link              text GENERATED ALWAYS AS (rerank.link_of(url)) STORED,   -- what its URL names
    UNIQUE (pipeline, article_id, number)
);
COMMENT ON TABLE rerank.revision IS 'An article at one version of the source, and the run that has claimed it.';
CREATE INDEX revision_run ON rerank.revision (run_id);
CREATE INDEX revision_fresh ON rerank.revision (pipeline, first_ingested_at);

CREATE TABLE rerank.revision_text (
    revision_id bigint PRIMARY KEY REFERENCES rerank.revision,
    title       text,
    summary     text,
    body        text
);
COMMENT ON TABLE rerank.revision_text IS 'The raw text of a revision. It is apart, so that it can be deleted before the ranking is.';

-- A rendition's row is there before its file and goes after it, and whoever writes or removes the file holds the row. So a
-- row that others can see has its file.
CREATE TABLE rerank.rendition (
    path    text PRIMARY KEY CHECK (rerank.stays_in_store(path)),   -- its name is the sha256 of the file
    width   integer NOT NULL CHECK (width > 0),    -- pixels
    height  integer NOT NULL CHECK (height > 0),
    frames  integer NOT NULL CHECK (frames > 0),   -- 1: a picture
    used_at timestamptz NOT NULL DEFAULT now()     -- when a run last made use of it
);
COMMENT ON TABLE rerank.rendition IS 'Pictures that were made small, and frames of clips: files of the store that all pipelines share.';

CREATE TABLE rerank.revision_medium (
    revision_id bigint NOT NULL REFERENCES rerank.revision ON DELETE CASCADE,
    place       integer NOT NULL,
    kind        text NOT NULL,
    sha256      text NOT NULL,   -- of the content, as the source says
    content     bytea,           -- raw; null: a file of the store, or looked at
    path        text,            -- as the source says; nobody has checked it yet
    caption     text,
    alt         text,
    shown_caption text,          -- cleaned, for display; null: it has none
    outcome     text,            -- 'used', or why it was dropped; null: nobody has looked at it yet
    rendition   text REFERENCES rerank.rendition,   -- null: dropped
    PRIMARY KEY (revision_id, place)
);
COMMENT ON TABLE rerank.revision_medium IS 'The media of a revision as a run claimed them, and what became of each.';
CREATE INDEX revision_medium_rendition ON rerank.revision_medium (rendition) WHERE rendition IS NOT NULL;

CREATE TABLE rerank.quarantine (
    revision_id bigint NOT NULL REFERENCES rerank.revision,
    stage       text NOT NULL,
    reason      text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (revision_id, stage)
);
COMMENT ON TABLE rerank.quarantine IS 'Revisions that a stage has set aside, with the reason.';

-- ── Ledger ──────────────────────────────────────────────────────────────────────────────────────

-- One score per (document, query, scorer). All scores of a document are in the partition of its month, so the key is unique over
-- the whole ledger, and retention drops partitions.
CREATE TABLE rerank.pair_score (
    month       date NOT NULL,
    document_id bigint NOT NULL,
    query_id    bigint NOT NULL,
    scorer_id   integer NOT NULL,
    logit       real NOT NULL CHECK (logit NOT IN ('NaN', 'Infinity', '-Infinity')),
    truncated   boolean NOT NULL,
    run_id      bigint NOT NULL,   -- provenance from here on
    shard       integer NOT NULL,
    latency_ms  real NOT NULL,
    engine      text NOT NULL,
    device      text NOT NULL,
    host        text NOT NULL DEFAULT '',
    scored_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scorer_id, query_id, document_id, month) INCLUDE (logit, truncated)   -- a page reads the index alone
) PARTITION BY RANGE (month);
COMMENT ON TABLE rerank.pair_score IS 'The ledger: one score for each document, query and scorer.';
CREATE INDEX pair_score_run ON rerank.pair_score USING brin (run_id) WITH (pages_per_range = 16);

-- Scores that are not in the ledger, so that whoever reads it finds none: those of a run that is blocked, until it is
-- approved or scored again; and those that a rescoring run has replaced, until the gate has let it pass.
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
    host        text NOT NULL DEFAULT '',
    scored_at   timestamptz NOT NULL,
    PRIMARY KEY (aside_for, scorer_id, query_id, document_id, run_id)
);
COMMENT ON TABLE rerank.score_aside IS 'Scores that are kept out of the ledger: those of a blocked run, and those that a rescoring run has replaced.';
CREATE INDEX score_aside_document ON rerank.score_aside (document_id);

CREATE TABLE rerank.refused_pair (
    document_id bigint NOT NULL REFERENCES rerank.document,
    query_id    bigint NOT NULL REFERENCES rerank.query,
    scorer_id   integer NOT NULL REFERENCES rerank.scorer,
    reason      text NOT NULL,
    run_id      bigint NOT NULL REFERENCES rerank.run,
    refused_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scorer_id, query_id, document_id)
);
COMMENT ON TABLE rerank.refused_pair IS 'Pairs that a scorer has refused, with the reason. They are not asked for again under that scorer.';

-- The ledger of texts that no run has claimed: a search engine's candidates. It knows texts by their digests and holds none.
CREATE TABLE rerank.text_score (
    scorer_id       integer NOT NULL REFERENCES rerank.scorer,
    query_digest    bytea NOT NULL,   -- as rerank.query has it
    document_digest bytea NOT NULL,   -- as rerank.document has it
    logit           real NOT NULL CHECK (logit NOT IN ('NaN', 'Infinity', '-Infinity')),
    truncated       boolean NOT NULL,
    scored_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scorer_id, query_digest, document_digest)
);
COMMENT ON TABLE rerank.text_score IS 'Scores of texts that no run has claimed, by the digests of query and document. It holds no text.';
CREATE INDEX text_score_document ON rerank.text_score (document_digest);
CREATE INDEX text_score_scored_at ON rerank.text_score USING brin (scored_at);

-- A try to score a shard that has begun and not come to its end. The next try that finds it goes carefully: the engine failed,
-- or the task was killed, with some pair in it.
CREATE TABLE rerank.scoring_attempt (
    run_id            bigint NOT NULL REFERENCES rerank.run,
    shard             integer NOT NULL,
    failures          integer NOT NULL DEFAULT 0,   -- tries in a row that did not come to their end
    alone_query_id    bigint,                       -- the pair that is in the engine by itself
    alone_document_id bigint,
    alone_times       integer NOT NULL DEFAULT 0,   -- tries in a row that ended with it there
    begun_at          timestamptz NOT NULL DEFAULT now(),
    meetings          integer NOT NULL DEFAULT 0,   -- how often tries on the same pairs have met; each then goes on elsewhere
    PRIMARY KEY (run_id, shard)
);
COMMENT ON TABLE rerank.scoring_attempt IS 'A try to score a shard that has begun and not ended. The next try goes carefully: some pair may have broken the engine.';

-- The hosts that tasks of scoring and embedding came to, with what is wrong with them. A host looks again before it works, so a
-- fault goes when it is mended.
CREATE TABLE rerank.scoring_host (
    host         text NOT NULL,
    pipeline     text NOT NULL,
    stage        text NOT NULL CHECK (stage IN ('rerank', 'embed')),
    fault        text,          -- why it cannot do the stage; null: it can
    faulty_since timestamptz,
    away_until   timestamptz,   -- its engine did not start: other hosts come first until then
    seen_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (host, pipeline, stage),
    CHECK ((fault IS NULL) = (faulty_since IS NULL))
);
COMMENT ON TABLE rerank.scoring_host IS 'The hosts that tasks of scoring and embedding came to, and why one of them cannot score or embed.';

CREATE TABLE rerank.fill (
    pipeline      text NOT NULL,
    slug          text NOT NULL,
    recall_digest bytea NOT NULL,
    scorer_id     integer NOT NULL REFERENCES rerank.scorer,
    run_id        bigint NOT NULL REFERENCES rerank.run,
    filled_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, slug, recall_digest, scorer_id)
);
COMMENT ON TABLE rerank.fill IS 'A topic''s queries are filled under a scorer when the best of the whole freshness window was scored.';

-- ── Publications ────────────────────────────────────────────────────────────────────────────────

CREATE TABLE rerank.gate (
    gate_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id     bigint NOT NULL REFERENCES rerank.run,
    verdict    text NOT NULL CHECK (verdict IN ('blocked', 'passed', 'approved')),   -- passed: after a block, by a later try
    sentence   text NOT NULL CHECK (btrim(sentence) <> ''),   -- which check and by how much; of an approval, why
    fence      integer NOT NULL,   -- of the try that was judged
    actor      text NOT NULL DEFAULT session_user,
    decided_at timestamptz NOT NULL DEFAULT now(),
    on_behalf_of text DEFAULT rerank.asked_by()   -- who asked that role: Airflow's user, or whom the command names; null: nobody said so
);
COMMENT ON TABLE rerank.gate IS 'Every decision of the publish gate. The latest decision on a run counts.';
CREATE INDEX gate_run ON rerank.gate (run_id, gate_id DESC);
CREATE TRIGGER gate_is_signed BEFORE INSERT OR UPDATE ON rerank.gate FOR EACH ROW EXECUTE FUNCTION rerank.sign();

CREATE TABLE rerank.publication (
    publication_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline       text NOT NULL,
    run_id         bigint NOT NULL REFERENCES rerank.run,
    version        integer NOT NULL,
    fence          integer NOT NULL,
    as_of          timestamptz NOT NULL,
    parquet_path   text NOT NULL CHECK (rerank.stays_in_store(parquet_path)),
    parquet_sha256 text NOT NULL,
    rows_sha256    text NOT NULL,   -- over the canonical rows: equal for equal rankings
    row_count      integer NOT NULL,
    degraded       boolean NOT NULL,
    difference     text,            -- why rows differ from the run's version before; null: they do not
    published_at   timestamptz NOT NULL DEFAULT now(),
    trimmed        boolean NOT NULL DEFAULT false,   -- an earlier one again, without the articles that were forgotten since
    withdrawn_at   timestamptz,     -- its file holds an article that was forgotten, and is due for deletion
    blocked        text,            -- the gate's sentence; null: the page is what its run made
    UNIQUE (run_id, version)
);
COMMENT ON TABLE rerank.publication IS 'One version of a run''s page: its fence, its file and its digests.';

CREATE TABLE rerank.ranking (
    publication_id     bigint NOT NULL REFERENCES rerank.publication,
    slug               text NOT NULL,
    rank               integer NOT NULL CHECK (rank > 0),
    article_id         text NOT NULL,
    revision_id        bigint NOT NULL,
    document_id        bigint NOT NULL,
    topic_version_id   bigint NOT NULL,
    scorer_id          integer,
    ranked_by          text NOT NULL CHECK (ranked_by IN ('model', 'bm25', 'embedding', 'editor')),
    logit              real,
    rank_score         double precision,
    light_score        real,
    truncated          boolean NOT NULL,
    is_new             boolean NOT NULL,
    copies             integer NOT NULL,
    title              text NOT NULL,
    url                text,
    source             text,
    lang               text NOT NULL,
    published_at       timestamptz,
    first_ingested_at  timestamptz NOT NULL,
    began_at           timestamptz,   -- of the cluster; null: its age counted from the article itself
    copy_sources       text[] NOT NULL DEFAULT '{}',
    scored_document_id bigint,        -- the cluster's text that was scored; null: the article's own
    scored_article_id  text,
    moved_by           text CHECK (moved_by IN ('pin', 'boost', 'demote', 'diversity', 'source_limit', 'shifted')),
    moved              integer DEFAULT 0,   -- places up from the order; null: it has no place in the order
    pictures           text[] NOT NULL DEFAULT '{}',   -- paths of renditions
    captions           text[] NOT NULL DEFAULT '{}',   -- of each picture; '': it has none
    PRIMARY KEY (publication_id, slug, rank),
    CHECK ((ranked_by = 'model') = (logit IS NOT NULL))
);
COMMENT ON TABLE rerank.ranking IS 'The rows of a publication: one article at one place of one topic.';

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
    source_limited   integer NOT NULL DEFAULT 0,
    PRIMARY KEY (publication_id, slug)
);
COMMENT ON TABLE rerank.ranking_topic IS 'The state and counts of each topic of a publication.';

CREATE TABLE rerank.pointer (
    pipeline       text PRIMARY KEY,
    publication_id bigint NOT NULL REFERENCES rerank.publication,
    held           boolean NOT NULL DEFAULT false,   -- a rollback holds until it is released
    moved_at       timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE rerank.pointer IS 'The publication that is the page of a pipeline.';

CREATE TABLE rerank.pointer_move (
    pointer_move_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline            text NOT NULL,
    from_publication_id bigint,
    to_publication_id   bigint NOT NULL,
    reason              text NOT NULL,
    actor               text NOT NULL DEFAULT session_user,
    on_behalf_of        text DEFAULT rerank.asked_by(),
    moved_at            timestamptz NOT NULL DEFAULT now(),
    announced_at        timestamptz   -- null: Airflow has not been told yet
);
COMMENT ON TABLE rerank.pointer_move IS 'Every move of a pointer: from and to which publication, who moved it, and why. Airflow announces each.';
CREATE INDEX pointer_move_from ON rerank.pointer_move (from_publication_id, moved_at);
CREATE INDEX pointer_move_unannounced ON rerank.pointer_move (pipeline, pointer_move_id) WHERE announced_at IS NULL;

CREATE TABLE rerank.change (
    pointer_move_id bigint NOT NULL,   -- the move of the pointer that changed the page so
    slug            text NOT NULL,
    article_id      text NOT NULL,
    what            text NOT NULL CHECK (what IN ('entered', 'left', 'rose', 'fell')),
    rank_before     integer,           -- null: it entered
    rank_now        integer,           -- null: it left
    PRIMARY KEY (pointer_move_id, slug, article_id)
);
COMMENT ON TABLE rerank.change IS 'News of a topic: what a move of the pointer brought to the page, took from it, and put higher or lower.';

CREATE TABLE rerank.store_removal (
    path         text PRIMARY KEY CHECK (rerank.stays_in_store(path)),   -- relative to the store
    due_at       timestamptz NOT NULL,
    reason       text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE rerank.store_removal IS 'Files of the store that are due for deletion.';

CREATE TABLE rerank.feedback (
    event_id    text PRIMARY KEY CHECK (event_id <> ''),   -- the sender's own, or a digest of the columns below
    pipeline    text NOT NULL,
    run_id      bigint NOT NULL,   -- no foreign key: events may outlive the run's rows
    slug        text NOT NULL,
    rank        integer NOT NULL CHECK (rank > 0),
    revision_id bigint NOT NULL,
    event       text NOT NULL CHECK (event ~ '^[a-z][a-z0-9_-]{0,62}$'),
    happened_at timestamptz NOT NULL,
    loaded_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE rerank.feedback IS 'One row for each event: a reader saw, opened or hid one row of one ranking. No text, and nothing about the reader.';
CREATE INDEX feedback_page ON rerank.feedback (pipeline, run_id, slug, rank);

CREATE TABLE rerank.feedback_report (
    pipeline text PRIMARY KEY,
    made_at  timestamptz NOT NULL DEFAULT now(),
    content  jsonb NOT NULL
);
COMMENT ON TABLE rerank.feedback_report IS 'The latest count of what readers opened, and what rank and age did to it. It names topics and sources, and no article.';

CREATE TABLE rerank.lesson (
    pipeline   text NOT NULL,
    article_id text NOT NULL,
    scorer_id  integer NOT NULL REFERENCES rerank.scorer,
    PRIMARY KEY (pipeline, article_id, scorer_id)
);
COMMENT ON TABLE rerank.lesson IS 'Whose texts a tuned scorer has learned from, so that it can be named when an article is forgotten. No text.';

-- ── Learning ────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE rerank.training (
    training_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline       text NOT NULL,
    base_scorer_id integer NOT NULL REFERENCES rerank.scorer,
    scorer_id      integer REFERENCES rerank.scorer,   -- what is proposed; null: nothing
    verdict        text NOT NULL CHECK (verdict IN ('proposed', 'refused', 'skipped')),
    sentence       text NOT NULL CHECK (btrim(sentence) <> ''),   -- which check failed and by how much, or what is missing
    record         jsonb NOT NULL,   -- counts, dates, figures; no text of an article
    actor          text NOT NULL DEFAULT session_user,
    began_at       timestamptz NOT NULL,
    ended_at       timestamptz NOT NULL DEFAULT now(),
    CHECK ((verdict = 'proposed') = (scorer_id IS NOT NULL))
);
COMMENT ON TABLE rerank.training IS 'Every training on what readers did, and what became of it.';
CREATE INDEX training_pipeline ON rerank.training (pipeline, training_id DESC);
CREATE TRIGGER training_is_signed BEFORE INSERT OR UPDATE ON rerank.training FOR EACH ROW EXECUTE FUNCTION rerank.sign();

CREATE TABLE rerank.promotion (
    promotion_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline     text NOT NULL,
    model        text NOT NULL,   -- as RERANK_MODEL names it; another value there ends what stands in its place
    scorer_id    integer NOT NULL REFERENCES rerank.scorer,
    location     text NOT NULL,   -- of the checkpoint that stands in its place
    kind         text NOT NULL CHECK (kind IN ('trial', 'promoted', 'rolled back')),
    reason       text NOT NULL CHECK (btrim(reason) <> ''),
    actor        text NOT NULL DEFAULT session_user,
    on_behalf_of text DEFAULT rerank.asked_by() CHECK (btrim(on_behalf_of) <> ''),   -- who asked that role; null: nobody said so
    promoted_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE rerank.promotion IS 'Who has put which scorer in place of a pipeline''s model, and why. The latest row of a pipeline and model counts.';
CREATE INDEX promotion_model ON rerank.promotion (pipeline, model, promotion_id DESC);
CREATE TRIGGER promotion_is_signed BEFORE INSERT OR UPDATE ON rerank.promotion FOR EACH ROW EXECUTE FUNCTION rerank.sign();

-- ── What is hidden ──────────────────────────────────────────────────────────────────────────────

CREATE TABLE rerank.block (
    pipeline   text NOT NULL,
    article_id text NOT NULL,
    reason     text NOT NULL,
    blocked_at timestamptz NOT NULL DEFAULT now(),
    actor      text DEFAULT session_user,
    on_behalf_of text DEFAULT rerank.asked_by(),
    PRIMARY KEY (pipeline, article_id)
);
COMMENT ON TABLE rerank.block IS 'Articles that somebody has hidden by hand.';
CREATE TRIGGER block_is_signed BEFORE INSERT OR UPDATE ON rerank.block FOR EACH ROW EXECUTE FUNCTION rerank.sign();

CREATE TABLE rerank.tombstone (
    pipeline     text NOT NULL,
    article_id   text NOT NULL,
    reason       text NOT NULL,
    actor        text NOT NULL DEFAULT session_user,
    on_behalf_of text DEFAULT rerank.asked_by(),
    forgotten_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, article_id)
);
COMMENT ON TABLE rerank.tombstone IS 'Forgotten articles. Their text is gone, and no claim brings it back.';
CREATE TRIGGER tombstone_is_signed BEFORE INSERT OR UPDATE ON rerank.tombstone FOR EACH ROW EXECUTE FUNCTION rerank.sign();

CREATE TABLE rerank.deleted (
    pipeline   text NOT NULL,
    article_id text NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, article_id)
);
COMMENT ON TABLE rerank.deleted IS 'Articles of the page''s window that the source did not have when a run was last published.';

CREATE TABLE rerank.publication_hidden (
    publication_id bigint NOT NULL REFERENCES rerank.publication ON DELETE CASCADE,
    article_id     text NOT NULL,
    why            text NOT NULL CHECK (why IN ('deleted', 'blocked', 'forgotten')),
    PRIMARY KEY (publication_id, article_id)
);
COMMENT ON TABLE rerank.publication_hidden IS 'Articles that a publication left out of its window, with the reason.';

-- ── What editors ask for ────────────────────────────────────────────────────────────────────────

CREATE TABLE rerank.editorial_act (
    act_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline     text NOT NULL,
    slug         text NOT NULL,
    article_id   text CHECK (article_id <> ''),   -- null: it was forgotten
    kind         text NOT NULL CHECK (kind IN ('pin', 'boost', 'demote')),
    amount       integer NOT NULL CHECK (amount BETWEEN 1 AND 1000),   -- of a pin its place; else how many places
    made_at      timestamptz NOT NULL DEFAULT now(),
    ends_at      timestamptz NOT NULL,
    reason       text NOT NULL CHECK (btrim(reason) <> ''),
    actor        text NOT NULL DEFAULT session_user,
    on_behalf_of text DEFAULT rerank.asked_by() CHECK (btrim(on_behalf_of) <> ''),   -- who asked that role; null: nobody said so
    undone_at    timestamptz,                     -- null: nobody undid it
    undone_by    text,
    undone_for   text,                            -- who asked that role
    ended        boolean NOT NULL DEFAULT false,  -- undone, forgotten, or past its time when somebody acted next
    CHECK (ends_at > made_at),
    FOREIGN KEY (pipeline, slug) REFERENCES rerank.topic (pipeline, slug)
);
COMMENT ON TABLE rerank.editorial_act IS 'Articles that somebody has pinned, boosted or demoted in a topic, for a time.';
-- An act begins when it is made. So two acts overlap if neither has ended, and an index decides who was there first.
CREATE UNIQUE INDEX editorial_act_place ON rerank.editorial_act (pipeline, slug, amount) WHERE kind = 'pin' AND NOT ended;
CREATE UNIQUE INDEX editorial_act_article ON rerank.editorial_act (pipeline, slug, article_id) WHERE NOT ended;

CREATE FUNCTION rerank.sign_act() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.actor := CASE TG_OP WHEN 'INSERT' THEN session_user ELSE OLD.actor END;
    NEW.undone_by := CASE WHEN NEW.undone_at IS NULL THEN NULL
                          WHEN TG_OP = 'UPDATE' AND OLD.undone_at IS NOT NULL THEN OLD.undone_by ELSE session_user END;
    NEW.undone_for := CASE WHEN NEW.undone_at IS NULL THEN NULL
                           WHEN TG_OP = 'UPDATE' AND OLD.undone_at IS NOT NULL THEN OLD.undone_for ELSE rerank.asked_by() END;
    RETURN NEW;
END $$;
CREATE TRIGGER editorial_act_is_signed BEFORE INSERT OR UPDATE ON rerank.editorial_act
    FOR EACH ROW EXECUTE FUNCTION rerank.sign_act();

CREATE TABLE rerank.run_act (
    run_id bigint NOT NULL REFERENCES rerank.run,
    act_id bigint NOT NULL REFERENCES rerank.editorial_act,
    PRIMARY KEY (run_id, act_id)
);
COMMENT ON TABLE rerank.run_act IS 'The acts that a run follows, in every version of its page.';

-- ── Views ───────────────────────────────────────────────────────────────────────────────────────

CREATE VIEW rerank.hidden AS
SELECT pipeline, article_id, 'deleted'::text AS why FROM rerank.deleted
UNION ALL
SELECT pipeline, article_id, 'blocked' FROM rerank.block
UNION ALL
SELECT pipeline, article_id, 'forgotten' FROM rerank.tombstone;
COMMENT ON VIEW rerank.hidden IS 'Every article that must not be shown, and why. An article that is hidden for several reasons has a row for each.';

-- Frontends read the next four views and nothing else. Their comments are those of the contract.

CREATE VIEW rerank.current_ranking AS
SELECT p.pipeline, r.slug AS topic, r.rank, r.article_id, r.title, r.url, r.source, r.lang,
       r.published_at, r.first_ingested_at, r.ranked_by, r.logit,
       CASE WHEN r.logit IS NOT NULL   -- least and greatest pass over a null
            THEN 1 / (1 + exp(-greatest(-700, least(700, r.logit::double precision)))) END AS probability,
       r.rank_score, r.light_score,
       r.truncated, r.is_new, r.copies,
       p.as_of, p.run_id, p.version, p.publication_id, r.topic_version_id, r.revision_id, r.document_id,
       r.scorer_id, p.fence AS attempt,
       COALESCE(d.flags, '{}') AS flags,   -- of the text as it is now; none where it was forgotten
       COALESCE(r.began_at, least(r.published_at, r.first_ingested_at)) AS began_at,
       r.copy_sources,
       COALESCE(r.scored_document_id, r.document_id) AS scored_document_id,
       CASE WHEN r.scored_document_id IS NULL THEN r.article_id
            WHEN r.scored_article_id = r.article_id THEN r.article_id
            WHEN NOT EXISTS (SELECT FROM rerank.block b WHERE b.pipeline = p.pipeline AND b.article_id = r.scored_article_id)
             AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = p.pipeline AND t.article_id = r.scored_article_id)
            THEN r.scored_article_id END AS scored_article_id,
       r.moved_by, r.moved, r.pictures, r.captions
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
JOIN rerank.ranking r USING (publication_id)
LEFT JOIN rerank.document d ON d.document_id = r.document_id
WHERE NOT EXISTS (SELECT FROM rerank.block b WHERE b.pipeline = p.pipeline AND b.article_id = r.article_id)
  AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = p.pipeline AND t.article_id = r.article_id);

-- For readers that page through a ranking: the rows of every publication that is the page, or was within 24 hours. What
-- the page does not show is shown in no older publication either.
CREATE VIEW rerank.recent_ranking AS
SELECT p.pipeline, r.slug AS topic, r.rank, r.article_id, r.title, r.url, r.source, r.lang,
       r.published_at, r.first_ingested_at, r.ranked_by, r.logit,
       CASE WHEN r.logit IS NOT NULL   -- least and greatest pass over a null
            THEN 1 / (1 + exp(-greatest(-700, least(700, r.logit::double precision)))) END AS probability,
       r.rank_score, r.light_score,
       r.truncated, r.is_new, r.copies,
       p.as_of, p.run_id, p.version, p.publication_id, r.topic_version_id, r.revision_id, r.document_id,
       r.scorer_id, p.fence AS attempt,
       COALESCE(d.flags, '{}') AS flags,
       COALESCE(r.began_at, least(r.published_at, r.first_ingested_at)) AS began_at,
       r.copy_sources,
       COALESCE(r.scored_document_id, r.document_id) AS scored_document_id,
       CASE WHEN r.scored_document_id IS NULL THEN r.article_id
            WHEN r.scored_article_id = r.article_id THEN r.article_id
            WHEN NOT EXISTS (SELECT FROM rerank.block b WHERE b.pipeline = p.pipeline AND b.article_id = r.scored_article_id)
             AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = p.pipeline AND t.article_id = r.scored_article_id)
            THEN r.scored_article_id END AS scored_article_id,
       r.moved_by, r.moved, r.pictures, r.captions
FROM rerank.publication p
JOIN rerank.ranking r USING (publication_id)
LEFT JOIN rerank.document d ON d.document_id = r.document_id
WHERE (EXISTS (SELECT FROM rerank.pointer c WHERE c.publication_id = p.publication_id)
       OR EXISTS (SELECT FROM rerank.pointer_move m
                  WHERE m.from_publication_id = p.publication_id AND m.moved_at > now() - interval '24 hours')
          -- The page itself shows what its source lost until the next one comes; a page of the past does not.
          AND NOT EXISTS (SELECT FROM rerank.deleted g WHERE g.pipeline = p.pipeline AND g.article_id = r.article_id))
  AND NOT EXISTS (SELECT FROM rerank.block b WHERE b.pipeline = p.pipeline AND b.article_id = r.article_id)
  AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = p.pipeline AND t.article_id = r.article_id);

CREATE VIEW rerank.current_topic AS
SELECT p.pipeline, t.slug AS topic, v.query, p.as_of, t.state, t.candidates, t.from_ledger, t.scored, t.refused, t.missing,
       t.left_out, t.ranked, p.degraded AS page_degraded,
       p.run_id, p.version, p.publication_id, t.topic_version_id, t.scorer_id,
       p.parquet_path, p.parquet_sha256, p.published_at,
       (SELECT min(u.overdue_at) FROM rerank.run u
        WHERE u.pipeline = p.pipeline AND u.overdue_at IS NOT NULL AND u.published_at IS NULL AND u.until > p.as_of) AS overdue_since,
       t.source_limited
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
JOIN rerank.ranking_topic t USING (publication_id)
JOIN rerank.topic_version v USING (topic_version_id);

-- The move behind the page is the one of the pointer's own time: both are written in one transaction.
CREATE VIEW rerank.recent_change AS
SELECT m.pipeline, h.slug AS topic, h.what AS change, h.article_id, r.title, r.url, h.rank_before, h.rank_now,
       m.to_publication_id AS publication_id, m.from_publication_id, split_part(m.reason, ':', 1) AS cause, m.moved_at,
       c.publication_id IS NOT NULL AS is_current
FROM rerank.pointer_move m
LEFT JOIN rerank.pointer c ON c.pipeline = m.pipeline AND c.publication_id = m.to_publication_id AND c.moved_at = m.moved_at
JOIN rerank.change h USING (pointer_move_id)
LEFT JOIN rerank.ranking r   -- null if the page before is past its retention
       ON r.publication_id = CASE WHEN h.rank_now IS NULL THEN m.from_publication_id ELSE m.to_publication_id END
      AND r.slug = h.slug AND r.rank = COALESCE(h.rank_now, h.rank_before)
WHERE (c.publication_id IS NOT NULL OR m.moved_at > now() - interval '24 hours')
  AND NOT EXISTS (SELECT FROM rerank.block b WHERE b.pipeline = m.pipeline AND b.article_id = h.article_id)
  AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = m.pipeline AND t.article_id = h.article_id)
  AND (c.publication_id IS NOT NULL AND h.rank_now IS NOT NULL
       OR NOT EXISTS (SELECT FROM rerank.deleted g WHERE g.pipeline = m.pipeline AND g.article_id = h.article_id));

CREATE VIEW rerank.ranking_feedback AS
WITH counted AS (
    SELECT pipeline, run_id, slug, rank, revision_id, event,
           count(*) AS events, min(happened_at) AS first_at, max(happened_at) AS last_at
    FROM rerank.feedback
    GROUP BY pipeline, run_id, slug, rank, revision_id, event
)
SELECT c.pipeline, c.slug AS topic, c.run_id, c.rank, c.revision_id, c.event, c.events, c.first_at, c.last_at,
       shown.publication_id, shown.as_of, shown.article_id, shown.document_id, shown.topic_version_id, shown.scorer_id,
       shown.ranked_by, shown.logit, shown.rank_score, shown.light_score,
       shown.scored_document_id, shown.began_at, greatest(shown.as_of - shown.began_at, interval '0') AS age, shown.copies
FROM counted c
LEFT JOIN LATERAL (   -- null where the publication is past its retention
    SELECT p.publication_id, p.as_of, r.article_id, r.document_id, r.topic_version_id, r.scorer_id,
           r.ranked_by, r.logit, r.rank_score, r.light_score, r.copies,
           COALESCE(r.scored_document_id, r.document_id) AS scored_document_id,
           COALESCE(r.began_at, least(r.published_at, r.first_ingested_at)) AS began_at
    FROM rerank.publication p
    JOIN rerank.ranking r USING (publication_id)
    WHERE p.run_id = c.run_id AND r.slug = c.slug AND r.rank = c.rank AND r.revision_id = c.revision_id
    ORDER BY p.version DESC
    LIMIT 1
) shown ON true;
COMMENT ON VIEW rerank.ranking_feedback IS 'One row for each ranked row and kind of event, with what the row was ranked by. Null if the publication is past retention.';

-- ── Functions ───────────────────────────────────────────────────────────────────────────────────

-- The pointer, the ledger's months and the vectors change only through functions of the schema's owner: a role that runs the
-- pipeline needs no right to write the pointer, to make tables or to drop them. PUBLIC may call none of them.

-- Waits until nobody else has this turn, and keeps it until the transaction ends.
CREATE FUNCTION rerank.take_turn(wanted text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
INSERT INTO rerank.turn (name) VALUES (wanted)
ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name WHERE false   -- a row that is there is locked and left as it is
$$;
REVOKE EXECUTE ON FUNCTION rerank.take_turn(text) FROM PUBLIC;

-- Notes what a move changes, in the transaction that moves, whoever moves: nobody sees a page without its news. What enters
-- or leaves above an article moves it neither up nor down: places are counted among the articles that both pages have. A move by one
-- or two places is no news, because each article that rises makes others fall by one; unless it leads to the first place.
CREATE FUNCTION rerank.note_changes() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO rerank.change (pointer_move_id, slug, article_id, what, rank_before, rank_now)
    SELECT NEW.pointer_move_id, t.slug, p.article_id,
           CASE WHEN p.rank_before IS NULL THEN 'entered' WHEN p.rank_now IS NULL THEN 'left'
                WHEN p.risen > 0 THEN 'rose' ELSE 'fell' END,
           p.rank_before, p.rank_now
    FROM (SELECT DISTINCT slug FROM rerank.ranking_topic
          WHERE publication_id IN (NEW.from_publication_id, NEW.to_publication_id)) t
    CROSS JOIN LATERAL (   -- a topic at a time: sorting a whole page by its texts takes five times as long
        SELECT article_id, b.rank AS rank_before, n.rank AS rank_now,
               row_number() OVER before - row_number() OVER now AS risen, row_number() OVER now AS place_now
        FROM (SELECT article_id, rank FROM rerank.ranking
              WHERE publication_id = NEW.from_publication_id AND slug = t.slug) b
        FULL JOIN (SELECT article_id, rank FROM rerank.ranking
                   WHERE publication_id = NEW.to_publication_id AND slug = t.slug) n USING (article_id)
        WINDOW before AS (PARTITION BY b.rank IS NULL OR n.rank IS NULL ORDER BY b.rank),
               now AS (PARTITION BY b.rank IS NULL OR n.rank IS NULL ORDER BY n.rank)
    ) p
    WHERE p.rank_before IS NULL OR p.rank_now IS NULL OR abs(p.risen) >= 3 OR (p.risen > 0 AND p.place_now = 1);
    RETURN NULL;
END $$;

-- The first page has no page before it, and so no news.
CREATE TRIGGER changes_are_noted AFTER INSERT ON rerank.pointer_move FOR EACH ROW
    WHEN (NEW.from_publication_id <> NEW.to_publication_id) EXECUTE FUNCTION rerank.note_changes();

-- Moves a pipeline's page to this publication; unless the page is of a later time (of two runs with one as-of time,
-- of the one that claimed later), or held by a rollback. Says whether it moved. A publication does not wait for a try that is
-- frozen while it keeps a chunk of scores: that holds the run by its key alone, and only the gate waits for it.
CREATE FUNCTION rerank.move_pointer(of_pipeline text, wanted bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    page record;
    standing record;
BEGIN
    SELECT p.fence, p.as_of, r.run_id, r.claimed_at, r.fence AS newest_fence INTO page
    FROM rerank.publication p JOIN rerank.run r USING (run_id)
    WHERE p.pipeline = of_pipeline AND p.publication_id = wanted
    FOR NO KEY UPDATE OF r;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'pipeline % has no publication %', of_pipeline, wanted USING ERRCODE = 'no_data_found';
    END IF;
    IF page.fence <> page.newest_fence THEN
        RAISE EXCEPTION 'run %: publication % has fence %, the run has %; a newer try has taken over',
            page.run_id, wanted, page.fence, page.newest_fence USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM rerank.take_turn('publish ' || of_pipeline);

    SELECT p.publication_id, p.as_of, r.claimed_at, c.held INTO standing
    FROM rerank.pointer c JOIN rerank.publication p USING (publication_id) JOIN rerank.run r USING (run_id)
    WHERE c.pipeline = of_pipeline;
    IF FOUND AND (standing.held OR (standing.as_of, standing.claimed_at) > (page.as_of, page.claimed_at)) THEN
        RETURN false;
    END IF;
    INSERT INTO rerank.pointer AS c (pipeline, publication_id)
    VALUES (of_pipeline, wanted)
    ON CONFLICT (pipeline) DO UPDATE SET publication_id = EXCLUDED.publication_id, moved_at = now();
    INSERT INTO rerank.pointer_move (pipeline, from_publication_id, to_publication_id, reason)
    VALUES (of_pipeline, standing.publication_id, wanted, 'published');
    RETURN true;
END $$;
REVOKE EXECUTE ON FUNCTION rerank.move_pointer(text, bigint) FROM PUBLIC;

-- By hand: the page goes to this publication whatever its as-of time, and stays there until it is released.
CREATE FUNCTION rerank.rollback_pointer(of_pipeline text, wanted bigint, why text)
RETURNS TABLE (from_publication_id bigint, to_publication_id bigint, actor text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
WITH standing AS (
    SELECT c.publication_id FROM rerank.pointer c WHERE c.pipeline = of_pipeline
), moved AS (
    INSERT INTO rerank.pointer AS c (pipeline, publication_id, held)
    SELECT of_pipeline, p.publication_id, true
    FROM rerank.publication p
    WHERE p.pipeline = of_pipeline AND p.publication_id = wanted AND btrim(why) <> ''
    ON CONFLICT (pipeline) DO UPDATE SET publication_id = EXCLUDED.publication_id, held = true, moved_at = now()
    RETURNING c.publication_id
)
INSERT INTO rerank.pointer_move AS m (pipeline, from_publication_id, to_publication_id, reason)
SELECT of_pipeline, (SELECT standing.publication_id FROM standing), moved.publication_id, why
FROM moved
RETURNING m.from_publication_id, m.to_publication_id, m.actor
$$;
REVOKE EXECUTE ON FUNCTION rerank.rollback_pointer(text, bigint, text) FROM PUBLIC;

-- By hand: a page that was held goes to this publication, and follows the runs again.
CREATE FUNCTION rerank.release_pointer(of_pipeline text, wanted bigint, why text)
RETURNS TABLE (from_publication_id bigint, to_publication_id bigint, actor text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
WITH standing AS (
    SELECT c.publication_id FROM rerank.pointer c WHERE c.pipeline = of_pipeline
), moved AS (
    UPDATE rerank.pointer c SET publication_id = p.publication_id, held = false, moved_at = now()
    FROM rerank.publication p
    WHERE c.pipeline = of_pipeline AND c.held AND p.pipeline = of_pipeline AND p.publication_id = wanted AND btrim(why) <> ''
    RETURNING p.publication_id
)
INSERT INTO rerank.pointer_move AS m (pipeline, from_publication_id, to_publication_id, reason)
SELECT of_pipeline, (SELECT standing.publication_id FROM standing), moved.publication_id, why
FROM moved
RETURNING m.from_publication_id, m.to_publication_id, m.actor
$$;
REVOKE EXECUTE ON FUNCTION rerank.release_pointer(text, bigint, text) FROM PUBLIC;

-- The page goes from a publication to the same one without what was forgotten since; held stays held.
CREATE FUNCTION rerank.replace_pointer(of_pipeline text, before bigint, wanted bigint, why text)
RETURNS TABLE (from_publication_id bigint, to_publication_id bigint, actor text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
WITH moved AS (
    UPDATE rerank.pointer c SET publication_id = again.publication_id, moved_at = now()
    FROM rerank.publication was JOIN rerank.publication again USING (run_id, pipeline)
    WHERE c.pipeline = of_pipeline AND c.publication_id = before AND was.pipeline = of_pipeline AND was.publication_id = before
      AND again.publication_id = wanted AND again.trimmed AND again.version > was.version
    RETURNING again.publication_id
)
INSERT INTO rerank.pointer_move AS m (pipeline, from_publication_id, to_publication_id, reason)
SELECT of_pipeline, before, moved.publication_id, why
FROM moved
RETURNING m.from_publication_id, m.to_publication_id, m.actor
$$;
REVOKE EXECUTE ON FUNCTION rerank.replace_pointer(text, bigint, bigint, text) FROM PUBLIC;

-- The files of these publications are due for deletion; that of a page never is. Returns how many publications there are.
CREATE FUNCTION rerank.withdraw_publications(wanted bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found integer;
BEGIN
    IF EXISTS (SELECT FROM rerank.pointer c WHERE c.publication_id = ANY (wanted)) THEN
        RAISE EXCEPTION 'one of the publications % is a page', wanted USING ERRCODE = 'object_in_use';
    END IF;
    UPDATE rerank.publication SET withdrawn_at = COALESCE(withdrawn_at, now()) WHERE publication_id = ANY (wanted);
    GET DIAGNOSTICS found = ROW_COUNT;
    RETURN found;
END $$;
REVOKE EXECUTE ON FUNCTION rerank.withdraw_publications(bigint[]) FROM PUBLIC;

-- Deletes a publication with its rows, unless it is a page. Says whether there was one.
CREATE FUNCTION rerank.drop_publication(wanted bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM rerank.pointer c WHERE c.publication_id = wanted) THEN
        RAISE EXCEPTION 'publication % is a page', wanted USING ERRCODE = 'object_in_use';
    END IF;
    DELETE FROM rerank.change h USING rerank.pointer_move m
    WHERE m.pointer_move_id = h.pointer_move_id AND m.to_publication_id = wanted;
    DELETE FROM rerank.ranking WHERE publication_id = wanted;
    DELETE FROM rerank.ranking_topic WHERE publication_id = wanted;
    DELETE FROM rerank.publication WHERE publication_id = wanted;
    RETURN FOUND;
END $$;
REVOKE EXECUTE ON FUNCTION rerank.drop_publication(bigint) FROM PUBLIC;

-- The ledger's partition of the month that a day is in; null if there is none. It is known by its bounds, because years before
-- Christ and after 9999 have the names of other years.
CREATE FUNCTION rerank.month_partition(wanted date) RETURNS regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT c.oid::regclass
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'rerank.pair_score'::regclass
  AND pg_get_expr(c.relpartbound, c.oid) = format('FOR VALUES FROM (%L) TO (%L)', date_trunc('month', wanted)::date,
                                                  (date_trunc('month', wanted) + interval '1 month')::date)
$$;
REVOKE EXECUTE ON FUNCTION rerank.month_partition(date) FROM PUBLIC;

-- Makes the ledger's partition of a month, once. Documents are of the month that their run ends in: none is before 1970 or
-- after next month.
CREATE FUNCTION rerank.ensure_month(wanted date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text;
BEGIN
    IF wanted NOT BETWEEN '1970-01-01' AND (now() + interval '1 month')::date THEN
        RAISE EXCEPTION 'no run ends in the month of %', wanted
            USING ERRCODE = 'datetime_field_overflow', HINT = 'the ledger keeps months from 1970 to the next one';
    END IF;
    IF rerank.month_partition(wanted) IS NOT NULL THEN RETURN; END IF;
    PERFORM rerank.take_turn('months');
    IF rerank.month_partition(wanted) IS NOT NULL THEN RETURN; END IF;
    name := 'pair_score_' || to_char(wanted, 'YYYY_MM');
    IF to_regclass('rerank.' || name) IS NOT NULL THEN
        RAISE EXCEPTION 'rerank.% is not the ledger''s partition of that month', name
            USING ERRCODE = 'duplicate_table', HINT = 'rename it or drop it';
    END IF;
    -- A page reads the index alone where vacuum has been: so it comes often.
    EXECUTE format('CREATE TABLE rerank.%I PARTITION OF rerank.pair_score FOR VALUES FROM (%L) TO (%L)'
                   ' WITH (autovacuum_vacuum_insert_scale_factor = 0.01)',
                   name, date_trunc('month', wanted)::date, (date_trunc('month', wanted) + interval '1 month')::date);
END $$;
REVOKE EXECUTE ON FUNCTION rerank.ensure_month(date) FROM PUBLIC;

-- Drops the ledger's partition of a month that ended at least a month ago. Says whether there was one.
CREATE FUNCTION rerank.drop_month(wanted date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found regclass;
BEGIN
    IF date_trunc('month', wanted) >= date_trunc('month', now()) - interval '1 month' THEN
        RAISE EXCEPTION 'the scores of % are still in use', to_char(wanted, 'YYYY-MM')
            USING ERRCODE = 'object_in_use', HINT = 'a month can be dropped when the one after it has ended';
    END IF;
    PERFORM rerank.take_turn('months');
    found := rerank.month_partition(wanted);
    IF found IS NULL THEN RETURN false; END IF;
    EXECUTE format('DROP TABLE %s', found);
    RETURN true;
END $$;
REVOKE EXECUTE ON FUNCTION rerank.drop_month(date) FROM PUBLIC;

-- A text that is forgotten takes its vector with it.
CREATE FUNCTION rerank.forget_vector() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DELETE FROM rerank.%I WHERE document_id = $1', TG_ARGV[0]) USING NEW.document_id;
    RETURN NULL;
END $$;

-- Makes the table of an embedder's vectors, once. HNSW indexes at most 4,000 dimensions in half precision; longer vectors are
-- compared one by one.
CREATE FUNCTION rerank.ensure_vectors(wanted integer, dimensions integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := 'vector_' || wanted;
    home text;
BEGIN
    IF to_regclass('rerank.' || name) IS NOT NULL THEN RETURN; END IF;
    PERFORM rerank.take_turn('vectors');
    IF to_regclass('rerank.' || name) IS NOT NULL THEN RETURN; END IF;
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') THEN
        CREATE EXTENSION vector SCHEMA rerank;
    END IF;
    SELECT n.nspname INTO home FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector';
    EXECUTE format('CREATE TABLE rerank.%I (document_id bigint PRIMARY KEY REFERENCES rerank.document ON DELETE CASCADE,'
                   ' vector %I.halfvec(%s) NOT NULL)', name, home, dimensions);
    IF dimensions <= 4000 THEN
        -- Beside its row and not in TOAST: a comparison then costs one page and not three.
        EXECUTE format('ALTER TABLE rerank.%I ALTER COLUMN vector SET STORAGE PLAIN', name);
        EXECUTE format('CREATE INDEX ON rerank.%I USING hnsw (vector %I.halfvec_ip_ops) WITH (m = 16, ef_construction = 64)',
                       name, home);
    END IF;
    EXECUTE format('CREATE TRIGGER %I AFTER UPDATE OF text ON rerank.document FOR EACH ROW'
                   ' WHEN (OLD.text IS DISTINCT FROM NEW.text) EXECUTE FUNCTION rerank.forget_vector(%L)',
                   'forget_' || name, name);
END $$;
REVOKE EXECUTE ON FUNCTION rerank.ensure_vectors(integer, integer) FROM PUBLIC;
