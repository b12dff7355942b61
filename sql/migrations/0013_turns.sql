-- Who goes one at a time locks a row, and no advisory lock: that of a known key anybody who can connect may take, and so
-- keep the page from being published. The rows are the writer's alone.
CREATE TABLE rerank.turn (name text PRIMARY KEY);
COMMENT ON TABLE rerank.turn IS 'A row for everything that one transaction at a time may do.';
INSERT INTO rerank.turn (name) VALUES ('maintain'), ('months'), ('vectors');   -- those of pipelines come with them

-- Waits until nobody else has this turn, and keeps it until the transaction ends.
CREATE FUNCTION rerank.take_turn(wanted text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
INSERT INTO rerank.turn (name) VALUES (wanted)
ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name WHERE false   -- a row that is there is locked and left as it is
$$;
REVOKE EXECUTE ON FUNCTION rerank.take_turn(text) FROM PUBLIC;

-- How often tries that score the same pairs have met, side by side; each then goes on at another place.
ALTER TABLE rerank.scoring_attempt ADD COLUMN meetings integer NOT NULL DEFAULT 0;

-- As before, but for how they take turns.

CREATE OR REPLACE FUNCTION rerank.move_pointer(of_pipeline text, wanted bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    page record;
    standing record;
BEGIN
    SELECT p.fence, p.as_of, r.run_id, r.claimed_at, r.fence AS newest_fence INTO page
    FROM rerank.publication p JOIN rerank.run r USING (run_id)
    WHERE p.pipeline = of_pipeline AND p.publication_id = wanted
    FOR UPDATE OF r;
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

CREATE OR REPLACE FUNCTION rerank.ensure_month(wanted date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := 'pair_score_' || to_char(wanted, 'YYYY_MM');
BEGIN
    IF to_regclass('rerank.' || name) IS NOT NULL THEN RETURN; END IF;
    PERFORM rerank.take_turn('months');
    EXECUTE format('CREATE TABLE IF NOT EXISTS rerank.%I PARTITION OF rerank.pair_score FOR VALUES FROM (%L) TO (%L)',
                   name, date_trunc('month', wanted)::date, (date_trunc('month', wanted) + interval '1 month')::date);
END $$;

CREATE OR REPLACE FUNCTION rerank.drop_month(wanted date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := 'pair_score_' || to_char(wanted, 'YYYY_MM');
BEGIN
    IF date_trunc('month', wanted) >= date_trunc('month', now()) - interval '1 month' THEN
        RAISE EXCEPTION 'the scores of % are still in use', to_char(wanted, 'YYYY-MM')
            USING ERRCODE = 'object_in_use', HINT = 'a month can be dropped when the one after it has ended';
    END IF;
    PERFORM rerank.take_turn('months');
    IF NOT EXISTS (
        SELECT FROM pg_inherits
        WHERE inhparent = 'rerank.pair_score'::regclass AND inhrelid = to_regclass('rerank.' || name)
    ) THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE rerank.%I', name);
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION rerank.ensure_vectors(wanted integer, dimensions integer) RETURNS void
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
