-- name: listed
-- The media of revisions that nobody has looked at, without their contents.
SELECT revision_id, place, kind, sha256, path, caption, alt
FROM rerank.revision_medium
WHERE revision_id = ANY(CAST(:revision_ids AS bigint[])) AND outcome IS NULL
ORDER BY revision_id, place

-- name: content
-- The content of one medium; null if the claim found it too large.
SELECT content FROM rerank.revision_medium WHERE revision_id = :revision_id AND place = :place

-- name: looked
-- What became of media; their raw contents are not needed any more.
UPDATE rerank.revision_medium m
SET outcome = s.outcome, shown_caption = s.caption, rendition = s.path, content = NULL
FROM unnest(CAST(:revision_ids AS bigint[]), CAST(:places AS integer[]), CAST(:outcomes AS text[]), CAST(:captions AS text[]),
            CAST(:paths AS text[])) AS s (revision_id, place, outcome, caption, path)
WHERE m.revision_id = s.revision_id AND m.place = s.place
