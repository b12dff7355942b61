-- name: limit_time
-- No statement of this transaction runs longer: a view must not be a burden to the runs.
SELECT set_config('statement_timeout', :longest, true)

-- name: publication
-- One publication of a pipeline: the one asked for, else the one that frontends see. `before_id` is the publication that
-- its ranks are compared with: the latest of the run before, by as-of time, that the gate did not keep from readers.
SELECT p.publication_id, p.run_id, r.key, p.version, p.as_of, p.published_at, p.degraded, p.blocked, p.row_count, p.parquet_path, p.parquet_sha256,
       p.withdrawn_at IS NOT NULL AS withdrawn,
       p.difference, c.publication_id IS NOT NULL AS is_current, COALESCE(c.held, false) AS held,
       (SELECT g.verdict FROM rerank.gate g WHERE g.run_id = p.run_id ORDER BY g.gate_id DESC LIMIT 1) AS verdict,
       (SELECT b.publication_id
        FROM rerank.publication b
        WHERE b.pipeline = p.pipeline AND b.run_id <> p.run_id AND b.as_of < p.as_of
          AND (b.blocked IS NULL OR EXISTS (SELECT FROM rerank.pointer_move m WHERE m.to_publication_id = b.publication_id))
        ORDER BY b.as_of DESC, b.publication_id DESC
        LIMIT 1) AS before_id
FROM rerank.publication p
JOIN rerank.run r USING (run_id)
LEFT JOIN rerank.pointer c ON c.publication_id = p.publication_id
WHERE p.pipeline = :pipeline
  AND p.publication_id = COALESCE(CAST(:publication_id AS bigint),
                                  (SELECT publication_id FROM rerank.pointer WHERE pipeline = :pipeline))

-- name: publication_at
-- The publication that frontends saw at a time.
SELECT to_publication_id AS publication_id
FROM rerank.pointer_move
WHERE pipeline = :pipeline AND moved_at <= :at
ORDER BY moved_at DESC, pointer_move_id DESC
LIMIT 1

-- name: publications
-- The latest publications of a pipeline, to choose one from.
SELECT p.publication_id, p.run_id, p.version, p.as_of, p.degraded, c.publication_id IS NOT NULL AS is_current
FROM rerank.publication p
LEFT JOIN rerank.pointer c ON c.publication_id = p.publication_id
WHERE p.pipeline = :pipeline
ORDER BY p.as_of DESC, p.publication_id DESC
LIMIT :limit

-- name: states
-- How many topics of a publication are in each state.
SELECT state, count(*) AS topics
FROM rerank.ranking_topic
WHERE publication_id = :publication_id
GROUP BY state
ORDER BY state

-- name: languages
-- The languages of a publication's rows.
SELECT DISTINCT lang FROM rerank.ranking WHERE publication_id = :publication_id ORDER BY lang

-- name: topics
-- Topics of a publication, a part of the list: all, the one that is asked for, or those in a state.
SELECT t.slug, v.query, v.number, v.instruction, v.languages, v.top_k, COALESCE(v.min_score, f.min_score) AS min_score, v.half_life_hours,
       v.max_per_source, v.diversity, t.source_limited, t.state,
       t.candidates, t.from_ledger, t.scored, t.refused, t.missing, t.left_out, t.ranked, count(*) OVER () AS total
FROM rerank.ranking_topic t
JOIN rerank.topic_version v USING (topic_version_id)
JOIN rerank.publication p USING (publication_id)
LEFT JOIN rerank.run_topic f ON f.run_id = p.run_id AND f.slug = t.slug
WHERE t.publication_id = :publication_id
  AND (CAST(:slug AS text) IS NULL OR t.slug = :slug)
  AND (CAST(:state AS text) IS NULL OR t.state = :state)
ORDER BY t.slug
LIMIT :limit OFFSET :offset

-- name: rows
-- Rows of a publication, a part of the list, with the rank that each article had in another publication. Hidden
-- articles are left out, as in the views that frontends read.
SELECT r.slug, r.rank, r.article_id, r.title, r.url, r.source, r.lang, r.published_at, r.first_ingested_at, r.ranked_by,
       r.logit, r.rank_score, r.light_score, r.truncated, r.is_new, r.copies, r.copy_sources, r.moved_by, r.moved,
       (SELECT a.actor || COALESCE(' for ' || a.on_behalf_of, '') || ', until ' || to_char(a.ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
               || ' UTC: ' || a.reason
        FROM rerank.publication p
        JOIN rerank.run_act k USING (run_id)
        JOIN rerank.editorial_act a USING (act_id)
        WHERE p.publication_id = r.publication_id AND a.slug = r.slug AND a.article_id = r.article_id) AS act,
       COALESCE(r.began_at, least(r.published_at, r.first_ingested_at)) AS began_at, b.rank AS rank_before,
       count(*) OVER () AS total
FROM rerank.ranking r
LEFT JOIN rerank.ranking b
       ON b.publication_id = :before_id AND b.slug = r.slug AND b.article_id = r.article_id
WHERE r.publication_id = :publication_id
  AND (CAST(:slugs AS text[]) IS NULL OR r.slug = ANY(CAST(:slugs AS text[])))
  AND r.rank <= :top
  AND (CAST(:lang AS text) IS NULL OR r.lang = :lang)
  AND (CAST(:q AS text) IS NULL
       OR strpos(lower(r.title), lower(:q)) > 0 OR strpos(lower(r.source), lower(:q)) > 0
       OR strpos(r.slug, lower(:q)) > 0 OR r.article_id = :q)
  AND NOT EXISTS (SELECT FROM rerank.block x WHERE x.pipeline = :pipeline AND x.article_id = r.article_id)
  AND NOT EXISTS (SELECT FROM rerank.tombstone x WHERE x.pipeline = :pipeline AND x.article_id = r.article_id)
ORDER BY r.slug, r.rank
LIMIT :limit OFFSET :offset

-- name: known_topics
-- Which of these topics another publication has: in the others a rank has nothing to be compared with.
SELECT slug FROM rerank.ranking_topic WHERE publication_id = :publication_id AND slug = ANY(CAST(:slugs AS text[])) ORDER BY slug

-- name: orders
-- Each topic's articles in order, to compare two publications by.
SELECT t.slug, t.state,
       COALESCE((SELECT array_agg(r.article_id ORDER BY r.rank)
                 FROM rerank.ranking r
                 WHERE r.publication_id = t.publication_id AND r.slug = t.slug), '{}') AS article_ids
FROM rerank.ranking_topic t
WHERE t.publication_id = :publication_id
ORDER BY t.slug

-- name: runs
-- The latest runs of a pipeline, a part of the list, each with its latest publication and the sums over its topics.
SELECT r.run_id, r.key, r.until, r.topics, r.rescore, r.as_claimed_now, r.degraded, r.created_at, r.claimed_at, r.prepared_at, r.frozen_at,
       r.published_at, r.fence, r.scorer_id, r.claimed, p.publication_id, p.version, p.row_count, p.difference,
       p.parquet_path, c.publication_id IS NOT NULL AS is_current,
       s.candidates, s.from_ledger, s.scored, s.refused, s.missing, s.left_out, s.topics_ranked,
       g.verdict, g.sentence, g.actor || COALESCE(' for ' || g.on_behalf_of, '') AS decided_by, g.decided_at,
       count(*) OVER () AS total
FROM rerank.run r
LEFT JOIN LATERAL (SELECT * FROM rerank.publication WHERE run_id = r.run_id ORDER BY version DESC LIMIT 1) p ON true
LEFT JOIN LATERAL (SELECT * FROM rerank.gate WHERE run_id = r.run_id ORDER BY gate_id DESC LIMIT 1) g ON true
LEFT JOIN rerank.pointer c ON c.publication_id = p.publication_id
LEFT JOIN LATERAL (
    SELECT CAST(sum(t.candidates) AS bigint) AS candidates, CAST(sum(t.from_ledger) AS bigint) AS from_ledger,
           CAST(sum(t.scored) AS bigint) AS scored, CAST(sum(t.refused) AS bigint) AS refused, CAST(sum(t.missing) AS bigint) AS missing,
           CAST(sum(t.left_out) AS bigint) AS left_out, count(*) FILTER (WHERE t.ranked > 0) AS topics_ranked
    FROM rerank.ranking_topic t
    WHERE t.publication_id = p.publication_id
) s ON p.publication_id IS NOT NULL
WHERE r.pipeline = :pipeline AND (CAST(:run_id AS bigint) IS NULL OR r.run_id = :run_id)
ORDER BY r.run_id DESC
LIMIT :limit OFFSET :offset

-- name: run_of_key
-- The run of a pipeline with this key.
SELECT run_id FROM rerank.run WHERE pipeline = :pipeline AND key = :key

-- name: source_counts
-- Where each row of the source went when a run claimed.
SELECT sighted, claimed, unchanged, too_late, later, invalid, forgotten, dates_ignored FROM rerank.run WHERE run_id = :run_id

-- name: metrics
-- What the stages of these runs recorded.
SELECT run_id, stage, name, value FROM rerank.run_metric WHERE run_id = ANY(CAST(:run_ids AS bigint[])) ORDER BY run_id, stage, name

-- name: shards
-- What all attempts scored of a run, by shard, and with what engine; also scores that count for nothing.
SELECT shard, count(*) AS scored, count(*) FILTER (WHERE distrusted) AS distrusted,
       min(engine) AS engine, min(device) AS device, string_agg(DISTINCT host, ', ' ORDER BY host) AS hosts
FROM (SELECT shard, engine, device, host, false AS distrusted FROM rerank.pair_score WHERE run_id = :run_id
      UNION ALL
      SELECT shard, engine, device, host, true FROM rerank.score_aside WHERE aside_for = :run_id AND run_id = :run_id) made
GROUP BY shard
ORDER BY shard

-- name: unfinished
-- Attempts to score a shard that began and did not end.
SELECT shard, failures, alone_times FROM rerank.scoring_attempt WHERE run_id = :run_id ORDER BY shard

-- name: scorer
-- The scorer that a run has frozen.
SELECT scorer_id, family, precision, max_document_tokens, passages, location, weights_digest FROM rerank.scorer WHERE scorer_id = :scorer_id

-- name: versions
-- The publications of a run.
SELECT p.publication_id, p.version, p.published_at, p.row_count, p.rows_sha256, p.degraded, p.blocked, p.difference, p.parquet_path,
       p.withdrawn_at,
       c.publication_id IS NOT NULL AS is_current
FROM rerank.publication p
LEFT JOIN rerank.pointer c ON c.publication_id = p.publication_id
WHERE p.run_id = :run_id
ORDER BY p.version DESC
LIMIT 20

-- name: run_topics
-- A run's topics; those with something wrong come first.
SELECT t.slug, t.state, t.candidates, t.from_ledger, t.scored, t.refused, t.missing, t.left_out, t.ranked,
       COALESCE(f.filling, false) AS filling, count(*) OVER () AS total
FROM rerank.ranking_topic t
LEFT JOIN rerank.run_topic f ON f.run_id = :run_id AND f.slug = t.slug
WHERE t.publication_id = :publication_id
ORDER BY array_position(ARRAY['degraded', 'partial', 'abstained', 'stale', 'full'], t.state), t.missing DESC, t.slug
LIMIT :limit OFFSET :offset

-- name: quarantined
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

-- name: topic_scores
-- The mean logit of each topic's ranked articles in each of these publications.
SELECT slug, publication_id, CAST(avg(logit) AS double precision) AS mean
FROM rerank.ranking
WHERE publication_id = ANY(CAST(:publication_ids AS bigint[])) AND slug = ANY(CAST(:slugs AS text[])) AND logit IS NOT NULL
GROUP BY slug, publication_id
ORDER BY slug, publication_id

-- name: topic_psi
-- The drift of each topic's logits in the runs that these publications are of.
SELECT t.slug, p.publication_id, t.psi
FROM rerank.run_topic t
JOIN rerank.publication p USING (run_id)
WHERE p.publication_id = ANY(CAST(:publication_ids AS bigint[])) AND t.slug = ANY(CAST(:slugs AS text[])) AND t.psi IS NOT NULL
ORDER BY t.slug, p.publication_id

-- name: topic_spread
-- How the logits of each topic's ranked articles are spread: rows in each of twenty bins from -10 to 10.
SELECT slug, width_bucket(greatest(-9.999, least(9.999, CAST(logit AS double precision))), -10, 10, 20) AS bin, count(*) AS found
FROM rerank.ranking
WHERE publication_id = :publication_id AND slug = ANY(CAST(:slugs AS text[])) AND logit IS NOT NULL
GROUP BY slug, bin
ORDER BY slug, bin

-- name: article
-- The latest revisions of an article in a pipeline.
SELECT v.revision_id, v.number, v.version, v.run_id, v.ingested_at, v.first_ingested_at, v.published_at, v.url, v.source,
       v.lang, v.title, v.document_id, v.letters_in, v.letters_out, d.lang AS document_lang, d.length, d.lang_confidence, COALESCE(d.flags, '{}') AS flags,
       COALESCE(n.leader_document_id, v.document_id) AS scored_document_id,
       COALESCE(l.began_at, v.began_at) AS began_at,
       q.reason AS quarantined, h.hidden
FROM rerank.revision v
LEFT JOIN rerank.document d USING (document_id)
LEFT JOIN rerank.near_copy n ON n.pipeline = v.pipeline AND n.document_id = v.document_id
LEFT JOIN rerank.near_copy l ON l.pipeline = v.pipeline AND l.document_id = n.leader_document_id
LEFT JOIN rerank.quarantine q ON q.revision_id = v.revision_id AND q.stage = 'prepare'
CROSS JOIN LATERAL (
    SELECT string_agg(h.why, ', ' ORDER BY h.why) AS hidden
    FROM rerank.hidden h
    WHERE h.pipeline = v.pipeline AND h.article_id = v.article_id
) h
WHERE v.pipeline = :pipeline AND v.article_id = :article_id
ORDER BY v.number DESC
LIMIT 10

-- name: media
-- The media of a revision: what became of each, and how it is shown.
SELECT m.place, m.kind, m.outcome, m.rendition AS path, p.width, p.height, p.frames, m.shown_caption AS caption,
       COALESCE(m.rendition = ANY(d.pictures), false) AS is_read
FROM rerank.revision_medium m
JOIN rerank.revision r USING (revision_id)
LEFT JOIN rerank.near_copy n ON n.pipeline = r.pipeline AND n.document_id = r.document_id
LEFT JOIN rerank.document d ON d.document_id = COALESCE(n.leader_document_id, r.document_id)
LEFT JOIN rerank.rendition p ON p.path = m.rendition
WHERE m.revision_id = :revision_id
ORDER BY m.place

-- name: has_picture
-- Whether an article of the pipeline has this rendition.
SELECT EXISTS (SELECT FROM rerank.revision_medium m JOIN rerank.revision r USING (revision_id)
               WHERE m.rendition = :path AND r.pipeline = :pipeline) AS has

-- name: article_text
-- A revision's text as it was claimed, and as the model reads it; the beginning of each.
SELECT t.revision_id IS NOT NULL AS has_raw, left(t.title, :characters) AS raw_title, left(t.summary, :characters) AS raw_summary,
       left(t.body, :characters) AS raw_body, length(t.body) AS raw_length, left(d.text, :characters) AS text, length(d.text) AS length
FROM rerank.revision v
LEFT JOIN rerank.revision_text t USING (revision_id)
LEFT JOIN rerank.document d USING (document_id)
WHERE v.revision_id = :revision_id

-- name: copies
-- Other articles with this very text or a near-copy of it, or with this link of this source, first ingested within three
-- days of it.
SELECT DISTINCT ON (article_id) article_id, title, source, url, first_ingested_at,
       CASE WHEN document_id = :document_id THEN 'text' WHEN n.document_id IS NOT NULL THEN 'near_copy' ELSE 'link' END AS same
FROM rerank.revision
LEFT JOIN (SELECT document_id FROM rerank.near_copy
           WHERE pipeline = :pipeline AND leader_document_id = :scored_document_id) n USING (document_id)
WHERE pipeline = :pipeline AND article_id <> :article_id
  AND (document_id = :document_id OR n.document_id IS NOT NULL OR source = :source AND link = rerank.link_of(:url))
  AND first_ingested_at BETWEEN CAST(:first_ingested_at AS timestamptz) - interval '3 days'
                            AND CAST(:first_ingested_at AS timestamptz) + interval '3 days'
ORDER BY article_id, number DESC
LIMIT 50

-- name: query_languages
-- The codes that the topics of a publication have queries under.
SELECT DISTINCT code
FROM rerank.ranking_topic t
JOIN rerank.topic_version v USING (topic_version_id)
CROSS JOIN jsonb_object_keys(v.queries) code
WHERE t.publication_id = :publication_id
ORDER BY code

-- name: article_standing
-- The place of a cluster in each topic of a publication, by the text that is scored for it: its row and its score, if
-- they exist. Topics that rank it come first, then topics that have scored it.
SELECT t.slug, t.state, v.query, COALESCE(v.min_score, f.min_score) AS min_score, v.top_k, v.half_life_hours, v.languages, r.rank, r.article_id, r.ranked_by,
       r.rank_score, r.light_score, r.truncated, COALESCE(r.logit, s.logit) AS logit, s.scored_at, s.run_id AS scored_by_run,
       x.reason AS refused, last.rank_score AS last_rank_score, a.run_id AS distrusted, count(*) OVER () AS total
FROM rerank.ranking_topic t
JOIN rerank.topic_version v USING (topic_version_id)
JOIN rerank.publication p USING (publication_id)
LEFT JOIN rerank.run_topic f ON f.run_id = p.run_id AND f.slug = t.slug
LEFT JOIN rerank.ranking r ON r.publication_id = t.publication_id AND r.slug = t.slug
      AND COALESCE(r.scored_document_id, r.document_id) = :document_id
LEFT JOIN LATERAL (   -- the query for the text's language, under whatever code of it
    SELECT o.value FROM jsonb_each_text(v.queries) o
    WHERE o.key = ANY(CAST(:langs AS text[]))
    ORDER BY array_position(CAST(:langs AS text[]), o.key) LIMIT 1
) own ON true
LEFT JOIN rerank.query q ON q.instruction = v.instruction AND q.query = COALESCE(own.value, v.query)
LEFT JOIN rerank.pair_score s
       ON s.scorer_id = t.scorer_id AND s.query_id = q.query_id AND s.document_id = :document_id
      AND s.month = (SELECT month FROM rerank.document WHERE document_id = :document_id)
LEFT JOIN rerank.refused_pair x ON x.scorer_id = t.scorer_id AND x.query_id = q.query_id AND x.document_id = :document_id
LEFT JOIN LATERAL (   -- a score by a run that the gate blocks
    SELECT o.run_id
    FROM rerank.score_aside o
    WHERE o.document_id = :document_id AND o.query_id = q.query_id AND o.run_id = o.aside_for
      AND (SELECT g.verdict FROM rerank.gate g WHERE g.run_id = o.run_id ORDER BY g.gate_id DESC LIMIT 1) = 'blocked'
    ORDER BY o.run_id DESC LIMIT 1
) a ON s.logit IS NULL
LEFT JOIN LATERAL (
    SELECT y.rank_score FROM rerank.ranking y
    WHERE y.publication_id = t.publication_id AND y.slug = t.slug AND y.ranked_by = 'model'
    ORDER BY y.rank DESC LIMIT 1
) last ON s.logit IS NOT NULL AND r.rank IS NULL
WHERE t.publication_id = :publication_id
ORDER BY r.rank IS NULL, r.ranked_by DESC, r.rank, s.logit DESC NULLS LAST, x.reason, t.slug
LIMIT :limit OFFSET :offset

-- name: current_publication
-- The publication that frontends see, as an asset event tells it.
SELECT p.run_id, p.as_of, p.publication_id, p.version, p.degraded, p.blocked,
       CAST(EXTRACT(EPOCH FROM now() - p.as_of) AS double precision) AS age_seconds,
       (SELECT count(*) FROM rerank.ranking_topic t WHERE t.publication_id = p.publication_id) AS topics,
       p.row_count AS rows, p.rows_sha256, p.parquet_path
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
WHERE c.pipeline = :pipeline
