-- A decision of the gate, or of a person about it.
INSERT INTO rerank.gate (run_id, verdict, sentence, fence, actor)
VALUES (:run_id, :verdict, :sentence, :fence, COALESCE(CAST(:actor AS text), session_user))
RETURNING actor
