-- The topics of a publication, for the one that it is published as again.
INSERT INTO rerank.ranking_topic (publication_id, slug, topic_version_id, scorer_id, state, candidates, from_ledger, scored,
                                  refused, missing, left_out, ranked)
SELECT :publication_id, t.slug, t.topic_version_id, t.scorer_id,
       CASE WHEN t.state = 'full' AND n.ranked = 0 THEN 'abstained' ELSE t.state END,
       t.candidates, t.from_ledger, t.scored, t.refused, t.missing, t.left_out, n.ranked
FROM rerank.ranking_topic t
CROSS JOIN LATERAL (
    SELECT count(*) AS ranked FROM rerank.ranking r WHERE r.publication_id = :publication_id AND r.slug = t.slug
) n
WHERE t.publication_id = :before
