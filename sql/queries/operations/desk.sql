-- name: article
-- What is known of an article: when it entered the source (null: no run has claimed it), whether it has a text, and why it is
-- hidden; with the time now, and the beginning of the freshness window.
SELECT now() AS now, now() - make_interval(secs => :fresh_seconds) AS fresh_since,
       r.first_ingested_at, q.revision_id IS NOT NULL AS quarantined,
       (SELECT max(h.why) FROM rerank.hidden h WHERE h.pipeline = :pipeline AND h.article_id = :article_id) AS why
FROM (SELECT) one
LEFT JOIN LATERAL (
    SELECT revision_id, first_ingested_at FROM rerank.revision
    WHERE pipeline = :pipeline AND article_id = :article_id
    ORDER BY number DESC LIMIT 1
) r ON true
LEFT JOIN rerank.quarantine q ON q.revision_id = r.revision_id AND q.stage = 'prepare'

-- name: end
-- Acts of a topic whose time is over: they are in nobody's way.
UPDATE rerank.editorial_act SET ended = true
WHERE pipeline = :pipeline AND slug = :slug AND NOT ended AND ends_at <= now()

-- name: add
-- Makes an act. Unique indexes let one of two editors through.
INSERT INTO rerank.editorial_act (pipeline, slug, article_id, kind, amount, ends_at, reason)
VALUES (:pipeline, :slug, :article_id, :kind, :amount, :ends_at, :reason)
RETURNING act_id

-- name: in_the_way
-- The act that was there first: on the same article, or else on the same place.
SELECT act_id, slug, article_id, kind, amount, made_at, ends_at, actor, on_behalf_of, reason
FROM rerank.editorial_act
WHERE pipeline = :pipeline AND slug = :slug AND NOT ended
  AND (article_id = :article_id OR kind = 'pin' AND :kind = 'pin' AND amount = :place)
ORDER BY article_id = :article_id DESC
LIMIT 1

-- name: undo
-- Ends an act by hand; the row says by whom and when.
UPDATE rerank.editorial_act SET undone_at = now(), ended = true
WHERE pipeline = :pipeline AND slug = :slug AND article_id = :article_id AND NOT ended AND ends_at > now()
RETURNING act_id, slug, article_id, kind, amount, made_at, ends_at, actor, on_behalf_of, reason

-- name: forget
-- Acts on a forgotten article name it no more, and nobody reads why it was moved.
UPDATE rerank.editorial_act SET article_id = NULL, reason = 'forgotten', ended = true
WHERE pipeline = ANY(CAST(:pipelines AS text[])) AND article_id = :article_id

-- name: standing
-- The acts that stand now, by topic, pins first; with what the current page makes of each.
SELECT a.act_id, a.slug, a.article_id, a.kind, a.amount, a.made_at, a.ends_at, a.actor, a.on_behalf_of, a.reason,
       v.title, p.rank, p.moved,
       CASE WHEN EXISTS (SELECT FROM rerank.hidden h WHERE h.pipeline = a.pipeline AND h.article_id = a.article_id) THEN 'hidden'
            WHEN v.first_ingested_at IS NULL THEN 'unclaimed'
            WHEN v.first_ingested_at < now() - make_interval(secs => :fresh_seconds) THEN 'outside'
            WHEN k.act_id IS NULL THEN 'next'
            WHEN p.rank IS NULL THEN 'not ranked'
            ELSE 'shown' END AS effect
FROM rerank.editorial_act a
LEFT JOIN LATERAL (
    SELECT title, first_ingested_at FROM rerank.revision r
    WHERE r.pipeline = a.pipeline AND r.article_id = a.article_id
    ORDER BY number DESC LIMIT 1
) v ON true
LEFT JOIN rerank.pointer c ON c.pipeline = a.pipeline
LEFT JOIN rerank.publication u USING (publication_id)
LEFT JOIN rerank.run_act k ON k.run_id = u.run_id AND k.act_id = a.act_id
LEFT JOIN rerank.ranking p ON p.publication_id = c.publication_id AND p.slug = a.slug AND p.article_id = a.article_id
WHERE a.pipeline = :pipeline AND NOT a.ended AND a.ends_at > now()
ORDER BY a.slug, a.kind <> 'pin', a.amount, a.act_id
