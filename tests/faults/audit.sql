-- What the oracle knows of its own: triggers on the source and on the tables that promises are made about.

CREATE SCHEMA fire;

-- Every version that an article ever had, with the transactions that began and ended it.
CREATE TABLE fire.version (
    article_id text NOT NULL, version text NOT NULL, ingested_at timestamptz NOT NULL,
    title text, body text, born xid8 NOT NULL, died xid8
);
CREATE INDEX ON fire.version (article_id);

CREATE FUNCTION fire.note_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        IF TG_OP = 'UPDATE' AND OLD.version = NEW.version THEN RETURN NULL; END IF;
        UPDATE fire.version SET died = pg_current_xact_id() WHERE article_id = OLD.article_id AND died IS NULL;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO fire.version (article_id, version, ingested_at, title, body, born)
        VALUES (NEW.article_id, NEW.version::text, NEW.ingested_at, NEW.title, NEW.body, pg_current_xact_id());
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fire_version AFTER INSERT OR UPDATE OR DELETE ON rerank.article
    FOR EACH ROW EXECUTE FUNCTION fire.note_version();

-- What each claim could see. A stable function sees the snapshot of the statement that fires it.
CREATE TABLE fire.claim (
    number bigint GENERATED ALWAYS AS IDENTITY, run_id bigint NOT NULL, snapshot pg_snapshot
);
CREATE FUNCTION fire.note_snapshot() RETURNS trigger LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM set_config('fire.snapshot', pg_current_snapshot()::text, true);
    RETURN NULL;
END $$;
CREATE TRIGGER fire_snapshot AFTER INSERT ON rerank.revision
    FOR EACH STATEMENT EXECUTE FUNCTION fire.note_snapshot();

CREATE FUNCTION fire.note_claim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fire.claim (run_id, snapshot)
    VALUES (NEW.run_id, nullif(current_setting('fire.snapshot', true), '')::pg_snapshot);
    RETURN NULL;
END $$;
CREATE TRIGGER fire_claim AFTER UPDATE OF claimed_at ON rerank.run
    FOR EACH ROW EXECUTE FUNCTION fire.note_claim();

-- Every fence that was taken, and what had been taken when a publication committed.
CREATE TABLE fire.fence (run_id bigint NOT NULL, fence integer NOT NULL, taken xid8 NOT NULL);
CREATE FUNCTION fire.note_fence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fire.fence VALUES (NEW.run_id, NEW.fence, pg_current_xact_id());
    RETURN NULL;
END $$;
CREATE TRIGGER fire_fence AFTER UPDATE OF fence ON rerank.run
    FOR EACH ROW WHEN (OLD.fence IS DISTINCT FROM NEW.fence) EXECUTE FUNCTION fire.note_fence();

CREATE TABLE fire.publication (publication_id bigint NOT NULL, snapshot pg_snapshot NOT NULL);
CREATE FUNCTION fire.note_publication() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fire.publication VALUES (NEW.publication_id, pg_current_snapshot());
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER fire_publication AFTER INSERT ON rerank.publication
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fire.note_publication();

-- A frozen run that was frozen again, by a try that came too late.
CREATE TABLE fire.refrozen (run_id bigint NOT NULL);
CREATE FUNCTION fire.note_refrozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fire.refrozen VALUES (NEW.run_id);
    RETURN NULL;
END $$;
CREATE TRIGGER fire_refrozen AFTER UPDATE OF pairs_path ON rerank.run FOR EACH ROW
    WHEN (OLD.pairs_path IS NOT NULL AND OLD.pairs_path IS DISTINCT FROM NEW.pairs_path AND NOT OLD.early)
    EXECUTE FUNCTION fire.note_refrozen();
