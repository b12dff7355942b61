-- name: block
-- Hides an article from the views at once; a second block replaces the reason.
INSERT INTO rerank.block (pipeline, article_id, reason) VALUES (:pipeline, :article_id, :reason)
ON CONFLICT (pipeline, article_id) DO UPDATE SET reason = EXCLUDED.reason, blocked_at = now(), on_behalf_of = EXCLUDED.on_behalf_of

-- name: unblock
-- The article may be shown again.
DELETE FROM rerank.block WHERE pipeline = :pipeline AND article_id = :article_id

-- name: known
-- Whether the pipeline has claimed an article, and the topics whose current ranking has it.
SELECT EXISTS (SELECT FROM rerank.claim c WHERE c.pipeline = :pipeline AND c.article_id = :article_id) AS claimed,
       COALESCE((SELECT array_agg(r.slug ORDER BY r.slug)
                 FROM rerank.pointer c JOIN rerank.ranking r USING (publication_id)
                 WHERE c.pipeline = :pipeline AND r.article_id = :article_id), '{}') AS topics

-- name: pipelines
-- This pipeline, and every other pipeline that has claimed the same article: an article of this id that entered the
-- source at the same moment, at any version. Claims are read too, because revisions may be past retention.
SELECT :pipeline AS pipeline
UNION
SELECT other.pipeline
FROM rerank.revision mine
JOIN rerank.revision other ON other.article_id = mine.article_id AND other.ingested_at = mine.ingested_at
WHERE mine.pipeline = :pipeline AND mine.article_id = :article_id
UNION
SELECT other.pipeline
FROM rerank.claim mine
JOIN rerank.claim other ON other.article_id = mine.article_id AND other.first_ingested_at = mine.first_ingested_at
WHERE mine.pipeline = :pipeline AND mine.article_id = :article_id
ORDER BY pipeline

-- name: hold_runs
-- Until the transaction ends, no try of the runs behind these pages commits. Rows may still be tied to the runs: a
-- scorer that refuses a pair then holds its document, which forgetting locks next.
SELECT r.run_id
FROM rerank.run r
WHERE r.run_id IN (SELECT p.run_id FROM rerank.pointer c JOIN rerank.publication p USING (publication_id)
                   WHERE c.pipeline = ANY(CAST(:pipelines AS text[])))
ORDER BY r.run_id
FOR NO KEY UPDATE

-- name: tombstone
-- No later claim brings the article back.
INSERT INTO rerank.tombstone (pipeline, article_id, reason) VALUES (:pipeline, :article_id, :reason)
ON CONFLICT (pipeline, article_id) DO NOTHING

-- name: publications
-- Publications whose files show an article; the page itself is published again without it.
SELECT p.publication_id, p.pipeline, p.parquet_path, c.publication_id IS NOT NULL AS is_current
FROM rerank.publication p
LEFT JOIN rerank.pointer c ON c.publication_id = p.publication_id
WHERE p.pipeline = ANY(CAST(:pipelines AS text[]))
  AND EXISTS (SELECT FROM rerank.ranking r WHERE r.publication_id = p.publication_id AND r.article_id = :article_id)
ORDER BY p.publication_id

-- name: withdraw
-- The files of these publications are due for deletion.
SELECT rerank.withdraw_publications(CAST(:publication_ids AS bigint[]))

-- name: rows
-- Empties what a ranking shows of an article; its rank is kept.
UPDATE rerank.ranking SET title = '', url = NULL, pictures = '{}', captions = '{}'
WHERE publication_id = ANY(CAST(:publication_ids AS bigint[])) AND article_id = :article_id
  AND (title, url, pictures, captions) IS DISTINCT FROM ('', NULL, '{}', '{}')

-- name: due
-- Lists files that are removed when the grace period is over; an earlier date is kept.
INSERT INTO rerank.store_removal (path, due_at, reason)
SELECT path, now() + make_interval(secs => :grace_seconds), :reason
FROM unnest(CAST(:paths AS text[])) AS p (path)
ORDER BY path
ON CONFLICT (path) DO NOTHING

-- name: due_at
-- When the files that are listed now are removed.
SELECT now() + make_interval(secs => :grace_seconds) AS due_at

-- name: folders
-- Folders of topic files that are due for deletion, of pages before: they may show what was forgotten.
SELECT r.path, r.due_at
FROM rerank.store_removal r
JOIN unnest(CAST(:pipelines AS text[])) AS p (pipeline) ON starts_with(r.path, p.pipeline || '/pages/')
ORDER BY r.due_at, r.path

-- name: texts
-- The raw text of all revisions of an article.
DELETE FROM rerank.revision_text
WHERE revision_id IN (SELECT r.revision_id FROM rerank.revision r
                      WHERE r.pipeline = ANY(CAST(:pipelines AS text[])) AND r.article_id = :article_id)

-- name: media
-- The media of all revisions of an article. Returns the renditions that no other revision has; the clean-up removes them.
WITH gone AS (
    DELETE FROM rerank.revision_medium
    WHERE revision_id IN (SELECT r.revision_id FROM rerank.revision r
                          WHERE r.pipeline = ANY(CAST(:pipelines AS text[])) AND r.article_id = :article_id)
    RETURNING revision_id, rendition
)
SELECT DISTINCT g.rendition AS path
FROM gone g
WHERE g.rendition IS NOT NULL
  AND NOT EXISTS (SELECT FROM rerank.revision_medium m
                  WHERE m.rendition = g.rendition AND m.revision_id NOT IN (SELECT revision_id FROM gone))
ORDER BY path

-- name: lock_documents
-- Nobody ties a revision or a refused pair to a document while this transaction looks for documents without a revision.
LOCK TABLE rerank.document IN EXCLUSIVE MODE

-- name: revisions
-- What is shown of an article, and its ties to documents; returns these documents.
WITH before AS (
    SELECT revision_id, document_id
    FROM rerank.revision
    WHERE pipeline = ANY(CAST(:pipelines AS text[])) AND article_id = :article_id
), quarantined AS (
    INSERT INTO rerank.quarantine (revision_id, stage, reason)
    SELECT revision_id, 'prepare', 'forgotten' FROM before ORDER BY revision_id
    ON CONFLICT DO NOTHING
), cut AS (
    UPDATE rerank.revision r SET title = NULL, url = NULL, document_id = NULL
    FROM before WHERE r.revision_id = before.revision_id
)
SELECT revision_id, document_id FROM before ORDER BY revision_id

-- name: documents
-- Deletes these documents, unless a revision has one, and everything that was computed from them.
WITH alone AS (
    SELECT d.document_id, d.month, d.digest
    FROM rerank.document d
    WHERE d.document_id = ANY(CAST(:document_ids AS bigint[]))
      AND NOT EXISTS (SELECT FROM rerank.revision r WHERE r.document_id = d.document_id)
), scores AS (
    DELETE FROM rerank.pair_score s USING alone
    WHERE s.document_id = alone.document_id AND s.month = alone.month
    RETURNING s.document_id
), aside AS (
    DELETE FROM rerank.score_aside s USING alone WHERE s.document_id = alone.document_id RETURNING s.document_id
), refused AS (
    DELETE FROM rerank.refused_pair f USING alone WHERE f.document_id = alone.document_id RETURNING f.document_id
), of_texts AS (
    DELETE FROM rerank.text_score t USING alone WHERE t.document_digest = alone.digest RETURNING t.document_digest
), documents AS (
    DELETE FROM rerank.document d USING alone WHERE d.document_id = alone.document_id RETURNING d.document_id
)
SELECT (SELECT count(*) FROM documents) AS documents,
       (SELECT count(*) FROM scores) + (SELECT count(*) FROM aside) + (SELECT count(*) FROM refused) + (SELECT count(*) FROM of_texts) AS scores

-- name: lessons
-- Scorers that have learned from an article's text.
SELECT DISTINCT scorer_id FROM rerank.lesson
WHERE pipeline = ANY(CAST(:pipelines AS text[])) AND article_id = :article_id
ORDER BY scorer_id

-- name: source
-- An article of the default source.
DELETE FROM rerank.article WHERE article_id = :article_id

-- name: replace
-- The page goes from a publication whose file is due to its copy without the forgotten article; a held page stays held.
SELECT from_publication_id, to_publication_id, actor
FROM rerank.replace_pointer(:pipeline, :from_publication_id, :publication_id, :reason)
