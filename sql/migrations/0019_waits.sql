-- As before, but a publication does not wait for a try that stands still while it keeps a chunk of scores: that holds the
-- run by its key alone, and only the gate waits for it.

CREATE OR REPLACE FUNCTION rerank.move_pointer(of_pipeline text, wanted bigint) RETURNS boolean
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
