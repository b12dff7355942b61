-- psql "$DATABASE_URL" -v topic=ai-policy [-v size=10] [-v last=10] -f tests/examples/page.sql
\set ON_ERROR_STOP on
\if :{?size} \else \set size 10 \endif
\if :{?last} \else \set last :size \endif

-- The state of the topic, and the publication to read its rows from, now and for the next rows.
SELECT publication_id, state, ranked FROM rerank.current_topic WHERE pipeline = 'news' AND topic = :'topic' \gset
\echo :state :ranked

-- The first rows.
SELECT rank, article_id, title, url, round(probability::numeric, 3) AS probability, ranked_by
FROM rerank.recent_ranking
WHERE publication_id = :publication_id AND topic = :'topic'
ORDER BY rank
LIMIT :size;

-- The next rows, below the last rank that was shown, in the same publication, whatever the page is by now.
SELECT rank, article_id, title, url, round(probability::numeric, 3) AS probability, ranked_by
FROM rerank.recent_ranking
WHERE publication_id = :publication_id AND topic = :'topic' AND rank > :last
ORDER BY rank
LIMIT :size;

-- No row? If the publication is readable, that was the whole topic; else begin again with the newest publication.
SELECT EXISTS (SELECT FROM rerank.recent_ranking WHERE publication_id = :publication_id) AS readable;
