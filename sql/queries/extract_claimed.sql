-- Marks the run as claimed, with where each source row went; from here on it claims nothing more.
UPDATE rerank.run
SET claimed_at = clock_timestamp(), sighted = :sighted, claimed = :claimed, unchanged = :unchanged, too_late = :too_late,
    later = :later, forgotten = :forgotten, invalid = :invalid
WHERE run_id = :run_id
