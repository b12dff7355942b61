-- The latest revisions of an article in a pipeline.
SELECT v.revision_id, v.number, v.version, v.run_id, v.ingested_at, v.first_ingested_at, v.published_at, v.url, v.source,
       v.lang, v.title, v.document_id, d.lang AS document_lang, d.length, d.lang_confidence, COALESCE(d.flags, '{}') AS flags,
       COALESCE(n.leader_document_id, v.document_id) AS scored_document_id,
       COALESCE(l.began_at, least(v.published_at, v.first_ingested_at)) AS began_at,
       q.reason AS quarantined, h.hidden
FROM rerank.revision v
LEFT JOIN rerank.document d USING (document_id)
LEFT JOIN rerank.near_copy n ON n.pipeline = v.pipeline AND n.document_id = v.document_id
LEFT JOIN rerank.near_copy l ON l.pipeline = v.pipeline AND l.document_id = n.leader_document_id
LEFT JOIN rerank.quarantine q ON q.revision_id = v.revision_id AND q.stage = 'prepare'
CROSS JOIN LATERAL (
    SELECT string_agg(h.why, ', ' ORDER BY h.why) AS hidden
    FROM rerank.hidden h
    WHERE h.pipeline = v.pipeline AND h.article_id = v.article_id
) h
WHERE v.pipeline = :pipeline AND v.article_id = :article_id
ORDER BY v.number DESC
LIMIT 10
