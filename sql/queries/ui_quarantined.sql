-- What a run put into quarantine: articles without text, and pairs that the scorer refused; the most frequent reasons.
SELECT stage, reason, count(*) AS times, min(article_id) AS article_id
FROM (
    SELECT q.stage, q.reason, v.article_id
    FROM rerank.revision v
    JOIN rerank.quarantine q USING (revision_id)
    WHERE v.run_id = :run_id
    UNION ALL
    SELECT 'rerank', p.reason, NULL
    FROM rerank.refused_pair p
    WHERE p.run_id = :run_id
) found
GROUP BY stage, reason
ORDER BY times DESC, stage, reason
LIMIT 20
