-- name: topic
-- A topic as the run has frozen it.
SELECT t.slug, v.query, v.queries, v.instruction, v.languages, v.must, v.must_not, v.candidate_limit, v.top_k,
       COALESCE(v.min_score, r.min_score) AS min_score, v.half_life_hours, v.max_per_source, v.diversity, v.active, v.topic_version_id, v.number,
       r.selected, r.filling, r.left_out, r.not_recalled, r.not_recalled_language
FROM rerank.run_topic r
JOIN rerank.topic_version v USING (topic_version_id)
JOIN rerank.topic t USING (topic_id)
WHERE r.run_id = :run_id AND r.slug = :slug

-- name: hidden
-- Why an article is hidden now: forgotten before blocked before deleted; with the reason that a person gave.
SELECT h.why, COALESCE(t.reason, b.reason) AS reason
FROM rerank.hidden h
LEFT JOIN rerank.tombstone t ON h.why = 'forgotten' AND t.pipeline = h.pipeline AND t.article_id = h.article_id
LEFT JOIN rerank.block b ON h.why = 'blocked' AND b.pipeline = h.pipeline AND b.article_id = h.article_id
WHERE h.pipeline = :pipeline AND h.article_id = :article_id
ORDER BY h.why = 'forgotten' DESC, h.why = 'blocked' DESC
LIMIT 1

-- name: revision
-- What the run knew of an article: its latest revision that this run or an earlier one claimed.
SELECT r.revision_id, r.number, r.version, r.run_id AS claimed_by, r.ingested_at, r.first_ingested_at, r.published_at, r.began_at,
       r.title, r.document_id, d.digest, d.length, d.lang, d.lang_confidence, d.flags, d.month, q.stage AS quarantine_stage, q.reason AS quarantine_reason
FROM rerank.revision r
JOIN rerank.run u USING (run_id)
LEFT JOIN rerank.document d USING (document_id)
LEFT JOIN rerank.quarantine q USING (revision_id)
WHERE r.pipeline = :pipeline AND r.article_id = :article_id AND (r.run_id = :run_id OR u.until <= :until)
ORDER BY r.number DESC
LIMIT 1

-- name: score
-- The score of a pair, and the run that made it.
SELECT logit, truncated, run_id
FROM rerank.pair_score
WHERE scorer_id = :scorer_id AND query_id = :query_id AND document_id = :document_id AND month = :month

-- name: media
-- What became of a revision's media, and whether the model reads them: it reads those of the text that is scored for the article.
SELECT m.kind, m.place, m.outcome, m.rendition, COALESCE(m.rendition = ANY(d.pictures), false) AS is_read
FROM rerank.revision_medium m
JOIN rerank.revision r USING (revision_id)
LEFT JOIN rerank.near_copy n ON n.pipeline = r.pipeline AND n.document_id = r.document_id
LEFT JOIN rerank.document d ON d.document_id = COALESCE(n.leader_document_id, r.document_id)
WHERE m.revision_id = :revision_id
ORDER BY m.place

-- name: later_claim
-- The first run that claimed the article.
SELECT r.run_id, u.until
FROM rerank.revision r
JOIN rerank.run u USING (run_id)
WHERE r.pipeline = :pipeline AND r.article_id = :article_id
ORDER BY r.number
LIMIT 1

-- name: cluster
-- The row that stands for a cluster in a topic's ranking, in the latest publication of a run.
SELECT r.rank, r.article_id
FROM rerank.ranking r
WHERE r.publication_id = (SELECT p.publication_id FROM rerank.publication p WHERE p.run_id = :run_id ORDER BY p.version DESC LIMIT 1)
  AND r.slug = :slug AND COALESCE(r.scored_document_id, r.document_id) = :document_id

-- name: publication
-- The latest publication of a run, and whether it is the page.
SELECT p.publication_id, p.version, p.as_of, p.published_at,
       EXISTS (SELECT FROM rerank.pointer c WHERE c.publication_id = p.publication_id) AS is_current
FROM rerank.publication p
WHERE p.run_id = :run_id
ORDER BY p.version DESC
LIMIT 1

-- name: standing
-- How the topic stands in a publication.
SELECT state, scorer_id, missing, left_out, ranked
FROM rerank.ranking_topic
WHERE publication_id = :publication_id AND slug = :slug

-- name: row
-- The article's row in a topic's published ranking.
SELECT rank, ranked_by, logit, rank_score, light_score, truncated, is_new, copies, moved_by, moved
FROM rerank.ranking
WHERE publication_id = :publication_id AND slug = :slug AND article_id = :article_id

-- name: text
-- A document's text, in which the topic's terms are looked for as recall does.
SELECT text FROM rerank.document WHERE document_id = :document_id

-- name: refused
-- Why a scorer refused a pair.
SELECT reason
FROM rerank.refused_pair
WHERE scorer_id = :scorer_id AND query_id = :query_id AND document_id = :document_id

-- name: aside
-- A score of a pair that counts for nothing, because the gate blocks the run that made it.
SELECT a.logit, a.run_id, g.sentence
FROM rerank.score_aside a
CROSS JOIN LATERAL (SELECT * FROM rerank.gate WHERE run_id = a.aside_for ORDER BY gate_id DESC LIMIT 1) g
WHERE a.scorer_id = :scorer_id AND a.query_id = :query_id AND a.document_id = :document_id
  AND a.run_id = a.aside_for AND g.verdict = 'blocked'
ORDER BY a.run_id DESC
LIMIT 1

-- name: hidden_members
-- Which of these articles are hidden now.
SELECT DISTINCT h.article_id
FROM rerank.hidden h
WHERE h.pipeline = :pipeline AND h.article_id = ANY(CAST(:article_ids AS text[]))
ORDER BY h.article_id
