-- The drift of each topic's logits in the runs that these publications are of.
SELECT t.slug, p.publication_id, t.psi
FROM rerank.run_topic t
JOIN rerank.publication p USING (run_id)
WHERE p.publication_id = ANY(CAST(:publication_ids AS bigint[])) AND t.slug = ANY(CAST(:slugs AS text[])) AND t.psi IS NOT NULL
ORDER BY t.slug, p.publication_id
