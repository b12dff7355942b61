-- Documents that hold every `must` term and no `must_not` term, in any case.
SELECT d.document_id
FROM rerank.document d
WHERE d.document_id = ANY(CAST(:document_ids AS bigint[]))
  AND NOT EXISTS (SELECT FROM unnest(CAST(:must AS text[])) AS t (term) WHERE strpos(lower(d.text), lower(t.term)) = 0)
  AND NOT EXISTS (SELECT FROM unnest(CAST(:must_not AS text[])) AS t (term) WHERE strpos(lower(d.text), lower(t.term)) > 0)
ORDER BY d.document_id
