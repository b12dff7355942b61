-- Vectors for dense recall, and how a run found its candidates. Nothing here needs pgvector: the extension and an
-- embedder's table are made when an embedder is first used.

CREATE TABLE rerank.embedder (
    embedder_id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest         text NOT NULL UNIQUE,
    family         text NOT NULL,
    weights_digest text NOT NULL,
    prompt_digest  text NOT NULL,
    precision      text NOT NULL,
    max_document_tokens integer NOT NULL,
    dimensions     integer NOT NULL CHECK (dimensions > 0),
    location       text NOT NULL,        -- where it was first found; not part of its identity
    registered_at  timestamptz NOT NULL DEFAULT now()
);

-- Vectors of queries are read by their ids and never searched.
CREATE TABLE rerank.query_vector (
    embedder_id integer NOT NULL REFERENCES rerank.embedder ON DELETE CASCADE,
    query_id    bigint NOT NULL REFERENCES rerank.query ON DELETE CASCADE,
    vector      bytea NOT NULL,          -- half precision, little-endian
    PRIMARY KEY (embedder_id, query_id)
);

ALTER TABLE rerank.run
    ADD COLUMN embedder_id integer REFERENCES rerank.embedder,   -- whose vectors recall may search; null: none
    ADD COLUMN recall text;              -- strategy and embedder that the candidates were found by

-- Where each document of the window went, for one topic; together with its pairs they are the whole window.
ALTER TABLE rerank.run_topic
    ADD COLUMN wanted       integer NOT NULL DEFAULT 0,   -- found, and wanted scored
    ADD COLUMN carried      integer NOT NULL DEFAULT 0,   -- scored before
    ADD COLUMN ineligible   integer NOT NULL DEFAULT 0,   -- by languages, must or must_not
    ADD COLUMN not_searched integer NOT NULL DEFAULT 0,   -- an earlier run has looked at it for this topic
    ADD COLUMN not_recalled integer NOT NULL DEFAULT 0,   -- not among the best
    ADD COLUMN not_recalled_language integer NOT NULL DEFAULT 0;   -- in a language that the topic has no query in

-- A text that is forgotten takes its vector with it.
CREATE FUNCTION rerank.forget_vector() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DELETE FROM rerank.%I WHERE document_id = $1', TG_ARGV[0]) USING NEW.document_id;
    RETURN NULL;
END $$;

-- The table of an embedder's vectors, made once. HNSW indexes at most 4,000 dimensions in half precision; longer
-- vectors are compared one by one.
CREATE FUNCTION rerank.ensure_vectors(wanted integer, dimensions integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := 'vector_' || wanted;
    home text;
BEGIN
    IF to_regclass('rerank.' || name) IS NOT NULL THEN RETURN; END IF;
    PERFORM pg_advisory_xact_lock(hashtext('rerank.ensure_vectors'));
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
