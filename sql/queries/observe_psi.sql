-- The drift of each topic's logits in a run; null where there are too few.
UPDATE rerank.run_topic t SET psi = found.psi
FROM unnest(CAST(:slugs AS text[]), CAST(:psis AS double precision[])) AS found (slug, psi)
WHERE t.run_id = :run_id AND t.slug = found.slug
