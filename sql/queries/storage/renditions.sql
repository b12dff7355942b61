-- name: hold
-- Renditions that a run takes up, held until the transaction ends; a row that is new has no file yet.
INSERT INTO rerank.rendition AS r (path, width, height, frames)
SELECT path, width, height, frames
FROM unnest(CAST(:paths AS text[]), CAST(:widths AS integer[]), CAST(:heights AS integer[]), CAST(:frames AS integer[]))
     AS w (path, width, height, frames)
ORDER BY path
ON CONFLICT (path) DO UPDATE SET used_at = now()
RETURNING r.path, r.xmax = 0 AS is_new
