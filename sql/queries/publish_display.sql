-- What frontends show of a revision.
SELECT revision_id, title, url, source FROM rerank.revision WHERE revision_id = ANY(CAST(:revision_ids AS bigint[])) ORDER BY revision_id
