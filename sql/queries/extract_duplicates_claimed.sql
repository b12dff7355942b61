-- Articles that this run has claimed and that the source view shows more than once. All are counted before any is shown:
-- planned for the first three alone, it would read every key of the source.
WITH counted AS MATERIALIZED (
    SELECT k.article_id, count(*) AS rows
    FROM {keys} k
    WHERE k.article_id IN (SELECT r.article_id FROM rerank.revision r WHERE r.run_id = :run_id)
    GROUP BY k.article_id
)
SELECT article_id, rows FROM counted WHERE rows > 1 ORDER BY article_id LIMIT 3
