-- name: hold
-- Renditions that a run takes up, held until the transaction ends; a row that is new has no file yet.
INSERT INTO rerank.rendition AS r (path, width, height, frames)
SELECT path, width, height, frames
FROM unnest(CAST(:paths AS text[]), CAST(:widths AS integer[]), CAST(:heights AS integer[]), CAST(:frames AS integer[]))
     AS w (path, width, height, frames)
ORDER BY path
ON CONFLICT (path) DO UPDATE SET used_at = now()
RETURNING r.path, r.xmax = 0 AS is_new

-- name: count
-- How many renditions there are, for all pipelines.
SELECT count(*) AS renditions FROM rerank.rendition

-- name: reserve
-- Rows for files that have none, so that a run which takes such a picture up waits until the file is gone.
INSERT INTO rerank.rendition (path, width, height, frames, used_at)
SELECT path, 1, 1, 1, '-infinity' FROM unnest(CAST(:paths AS text[])) AS p (path)
ORDER BY path
ON CONFLICT (path) DO NOTHING

-- name: take_unused
-- Deletes those of these renditions that nothing names and that no run has used for a while; their files go next.
DELETE FROM rerank.rendition r
WHERE r.path = ANY(CAST(:paths AS text[])) AND r.used_at < :before
  AND NOT EXISTS (SELECT FROM rerank.revision_medium m WHERE m.rendition = r.path)
  AND NOT EXISTS (SELECT FROM rerank.document d WHERE d.pictures <> '{}' AND d.pictures @> ARRAY[r.path])
RETURNING r.path
