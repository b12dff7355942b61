-- Which of these revisions still have their raw text; those of an article that was forgotten meanwhile do not.
SELECT revision_id FROM rerank.revision_text WHERE revision_id = ANY(CAST(:revision_ids AS bigint[])) ORDER BY revision_id
