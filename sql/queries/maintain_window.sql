-- From when on articles may still be ranked: by a run that is kept, or by the next one.
SELECT least(CAST(:fresh_since AS timestamptz), min(u.fresh_since)) AS since
FROM rerank.run u
WHERE u.pipeline = :pipeline
  AND (COALESCE(u.published_at, u.created_at) >= :before
       OR EXISTS (SELECT FROM rerank.publication p WHERE p.run_id = u.run_id))
