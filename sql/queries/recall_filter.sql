-- Documents whose text matches every `must` pattern and no `must_not` pattern, in any case.
SELECT d.document_id
FROM rerank.document d
WHERE d.document_id = ANY(CAST(:document_ids AS bigint[]))
  AND NOT EXISTS (SELECT FROM unnest(CAST(:must AS text[])) AS t (pattern) WHERE d.text !~* t.pattern)
  AND NOT EXISTS (SELECT FROM unnest(CAST(:must_not AS text[])) AS t (pattern) WHERE d.text ~* t.pattern)
ORDER BY d.document_id
