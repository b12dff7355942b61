-- Claims every new revision for the run, stages its raw text, and counts each source row in exactly one bucket.
WITH sighted AS (
    SELECT s.article_id IS NULL OR s.article_id = '' OR octet_length(s.article_id) > 2000
               OR s.version IS NULL OR s.ingested_at IS NULL AS invalid,
           s.ingested_at >= :until AS later,
           s.ingested_at < :since AS old,
           t.article_id IS NOT NULL AS forgotten,
           c.version IS NOT DISTINCT FROM s.version AS known
    FROM {keys} s
    LEFT JOIN rerank.claim c ON c.pipeline = :pipeline AND c.article_id = s.article_id
    LEFT JOIN rerank.tombstone t ON t.pipeline = :pipeline AND t.article_id = s.article_id
), tally AS (
    SELECT count(*) AS sighted,
           count(*) FILTER (WHERE invalid) AS invalid,
           count(*) FILTER (WHERE NOT invalid AND later) AS later,
           count(*) FILTER (WHERE NOT invalid AND NOT later AND forgotten) AS forgotten,
           count(*) FILTER (WHERE NOT invalid AND NOT later AND NOT forgotten AND known) AS unchanged,
           count(*) FILTER (WHERE NOT invalid AND NOT later AND NOT forgotten AND NOT known AND old) AS too_late
    FROM sighted
), changed AS (
    SELECT s.article_id, s.version, s.ingested_at, s.url, s.title, s.summary, s.body, s.lang, s.source,
           CASE WHEN s.published_at BETWEEN '0001-01-02' AND '9999-12-30' THEN s.published_at END AS published_at,   -- what Python can hold
           COALESCE(c.number, 0) + 1 AS number,
           COALESCE(c.first_ingested_at, s.ingested_at) AS first_ingested_at
    FROM {rows} s
    LEFT JOIN rerank.claim c ON c.pipeline = :pipeline AND c.article_id = s.article_id
    WHERE s.ingested_at >= :since AND s.ingested_at < :until AND s.version IS NOT NULL AND s.article_id <> '' AND octet_length(s.article_id) <= 2000
      AND c.version IS DISTINCT FROM s.version
      AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = :pipeline AND t.article_id = s.article_id)
), claimed AS (
    INSERT INTO rerank.claim (pipeline, article_id, version, number, first_ingested_at)
    SELECT :pipeline, article_id, version, number, first_ingested_at
    FROM changed
    ORDER BY article_id
    ON CONFLICT (pipeline, article_id) DO UPDATE SET version = EXCLUDED.version, number = EXCLUDED.number
), staged AS (
    INSERT INTO rerank.revision (pipeline, article_id, number, version, run_id, ingested_at, first_ingested_at,
                                 published_at, url, source, lang)
    SELECT :pipeline, article_id, number, version, :run_id, ingested_at, first_ingested_at, published_at, url, source, lang
    FROM changed
    ORDER BY article_id
    RETURNING revision_id, article_id
), texts AS (
    INSERT INTO rerank.revision_text (revision_id, title, summary, body)
    SELECT staged.revision_id, changed.title, changed.summary, changed.body
    FROM staged JOIN changed USING (article_id)
    RETURNING revision_id
)
SELECT tally.sighted, tally.invalid, tally.later, tally.forgotten, tally.unchanged, tally.too_late,
       (SELECT count(*) FROM texts) AS claimed
FROM tally
