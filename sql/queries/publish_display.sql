-- What frontends show of a revision; of links only those that are links to a page.
SELECT revision_id, title, CASE WHEN url ~* '^https?://' THEN url END AS url, source
FROM rerank.revision WHERE revision_id = ANY(CAST(:revision_ids AS bigint[])) ORDER BY revision_id
