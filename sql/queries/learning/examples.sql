-- name: queries
-- The instruction and the queries of topic versions.
SELECT topic_version_id, instruction, query, queries FROM rerank.topic_version
WHERE topic_version_id = ANY(CAST(:topic_version_ids AS bigint[]))
ORDER BY topic_version_id

-- name: texts
-- Prepared texts as they are now, their clusters, and whether an article that may be shown has each.
SELECT d.document_id, d.text, d.lang, COALESCE(n.leader_document_id, d.document_id) AS cluster,
       EXISTS (SELECT FROM rerank.revision r
               WHERE r.pipeline = :pipeline AND r.document_id = d.document_id
                 AND NOT EXISTS (SELECT FROM rerank.hidden h WHERE h.pipeline = :pipeline AND h.article_id = r.article_id)) AS shown
FROM rerank.document d
LEFT JOIN rerank.near_copy n ON n.pipeline = :pipeline AND n.document_id = d.document_id
WHERE d.document_id = ANY(CAST(:document_ids AS bigint[])) AND d.text <> ''
ORDER BY d.document_id

-- name: keep_lessons
-- The articles whose texts a scorer has learned from.
INSERT INTO rerank.lesson (pipeline, article_id, scorer_id)
SELECT DISTINCT r.pipeline, r.article_id, CAST(:scorer_id AS integer)
FROM rerank.revision r
WHERE r.pipeline = :pipeline AND r.document_id = ANY(CAST(:document_ids AS bigint[]))
ORDER BY r.article_id
ON CONFLICT DO NOTHING
