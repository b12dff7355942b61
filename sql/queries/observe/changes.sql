-- name: move
-- Why the page moved, and from where.
SELECT split_part(reason, ':', 1) AS cause, from_publication_id FROM rerank.pointer_move WHERE pointer_move_id = :pointer_move_id

-- name: counts
-- How many rows of each kind a move has, without what is hidden now.
SELECT h.what, count(*) AS changes
FROM rerank.change h
WHERE h.pointer_move_id = :pointer_move_id
  AND NOT EXISTS (SELECT FROM rerank.hidden x WHERE x.pipeline = :pipeline AND x.article_id = h.article_id)
GROUP BY h.what
ORDER BY h.what

-- name: entered
-- The best that a move brought to the topics.
SELECT h.slug AS topic, h.article_id, h.rank_now AS rank
FROM rerank.change h
WHERE h.pointer_move_id = :pointer_move_id AND h.what = 'entered'
  AND NOT EXISTS (SELECT FROM rerank.hidden x WHERE x.pipeline = :pipeline AND x.article_id = h.article_id)
ORDER BY h.rank_now, h.slug
LIMIT :limit

-- name: page
-- The move behind the page.
SELECT m.pointer_move_id, m.moved_at, split_part(m.reason, ':', 1) AS cause, m.from_publication_id, p.publication_id, p.run_id, p.version
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
JOIN rerank.pointer_move m ON m.pipeline = c.pipeline AND m.to_publication_id = c.publication_id AND m.moved_at = c.moved_at
WHERE c.pipeline = :pipeline
ORDER BY m.pointer_move_id DESC
LIMIT 1

-- name: topics
-- The topics of two publications.
SELECT DISTINCT slug FROM rerank.ranking_topic WHERE publication_id IN (:publication_id, :from_publication_id) ORDER BY slug

-- name: rows
-- What the move behind the page changed, as frontends see it; of each topic what is news first.
SELECT topic, change, article_id, title, rank_before, rank_now
FROM rerank.recent_change
WHERE pipeline = :pipeline AND is_current AND (CAST(:topic AS text) IS NULL OR topic = :topic)
ORDER BY topic, array_position(ARRAY['entered', 'rose', 'left', 'fell'], change), rank_now, rank_before
