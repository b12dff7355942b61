-- The pointer moves only through functions of the schema's owner: a role that runs the pipeline needs no right to
-- write the pointer, to make tables or to drop them. None of them may be called by PUBLIC.

-- Moves a pipeline's page to this publication; unless the page is of a later time (of two runs with one as-of time,
-- of the one that claimed later), or held by a rollback. Says whether it moved.
CREATE FUNCTION rerank.move_pointer(of_pipeline text, wanted bigint) RETURNS boolean
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
    PERFORM pg_advisory_xact_lock(hashtextextended('rerank.publish:' || of_pipeline, 0));

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

CREATE OR REPLACE FUNCTION rerank.ensure_month(wanted date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := 'pair_score_' || to_char(wanted, 'YYYY_MM');
BEGIN
    IF to_regclass('rerank.' || name) IS NOT NULL THEN RETURN; END IF;
    PERFORM pg_advisory_xact_lock(hashtext('rerank.ensure_month'));
    EXECUTE format('CREATE TABLE IF NOT EXISTS rerank.%I PARTITION OF rerank.pair_score FOR VALUES FROM (%L) TO (%L)',
                   name, date_trunc('month', wanted)::date, (date_trunc('month', wanted) + interval '1 month')::date);
END $$;
REVOKE EXECUTE ON FUNCTION rerank.ensure_month(date) FROM PUBLIC;

-- Drops the ledger's partition of a month that ended at least a month ago. Says whether there was one.
CREATE FUNCTION rerank.drop_month(wanted date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := 'pair_score_' || to_char(wanted, 'YYYY_MM');
BEGIN
    IF date_trunc('month', wanted) >= date_trunc('month', now()) - interval '1 month' THEN
        RAISE EXCEPTION 'the scores of % are still in use', to_char(wanted, 'YYYY-MM')
            USING ERRCODE = 'object_in_use', HINT = 'a month can be dropped when the one after it has ended';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('rerank.ensure_month'));
    IF NOT EXISTS (
        SELECT FROM pg_inherits
        WHERE inhparent = 'rerank.pair_score'::regclass AND inhrelid = to_regclass('rerank.' || name)
    ) THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE rerank.%I', name);
    RETURN true;
END $$;
REVOKE EXECUTE ON FUNCTION rerank.drop_month(date) FROM PUBLIC;

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
    DELETE FROM rerank.ranking WHERE publication_id = wanted;
    DELETE FROM rerank.ranking_topic WHERE publication_id = wanted;
    DELETE FROM rerank.publication WHERE publication_id = wanted;
    RETURN FOUND;
END $$;
REVOKE EXECUTE ON FUNCTION rerank.drop_publication(bigint) FROM PUBLIC;
