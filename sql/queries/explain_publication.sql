-- The latest version that a run has published, and whether it is the page.
SELECT p.publication_id, p.version, p.as_of, p.published_at,
       EXISTS (SELECT FROM rerank.pointer c WHERE c.publication_id = p.publication_id) AS is_current
FROM rerank.publication p
WHERE p.run_id = :run_id
ORDER BY p.version DESC
LIMIT 1
