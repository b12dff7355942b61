-- name: hold
-- Nobody forgets an article while its text is made into a document.
LOCK TABLE rerank.document IN ROW EXCLUSIVE MODE

-- name: count
-- Where each revision of the run went, and how many of its documents are near-copies of another text.
SELECT count(*) AS revisions,
       count(DISTINCT r.document_id) AS documents,
       count(r.document_id) - count(DISTINCT r.document_id) AS copies,
       count(q.revision_id) AS quarantined,
       count(DISTINCT n.document_id) AS near_copies
FROM rerank.revision r
LEFT JOIN rerank.quarantine q ON q.revision_id = r.revision_id AND q.stage = 'prepare'
LEFT JOIN rerank.near_copy n
       ON n.pipeline = r.pipeline AND n.document_id = r.document_id AND n.leader_document_id <> n.document_id
WHERE r.run_id = :run_id

-- name: done
-- Every revision of the run is prepared or in quarantine.
UPDATE rerank.run SET prepared_at = COALESCE(prepared_at, clock_timestamp()) WHERE run_id = :run_id

-- name: pending
-- Revisions that have neither a document nor a place in quarantine, with their raw text: of the run, and of earlier
-- ones that were never published.
SELECT r.revision_id, r.lang, left(t.title, :characters) AS title, left(t.summary, :characters) AS summary,
       left(t.body, :characters) AS body
FROM rerank.revision r
JOIN rerank.run u USING (run_id)
JOIN rerank.revision_text t USING (revision_id)
WHERE (u.run_id = :run_id OR u.pipeline = :pipeline AND u.published_at IS NULL AND u.until <= :until)
  AND r.revision_id > :after AND r.document_id IS NULL
  AND NOT EXISTS (SELECT FROM rerank.quarantine q WHERE q.revision_id = r.revision_id)
ORDER BY r.revision_id
LIMIT :batch

-- name: there
-- Which of these revisions still have their raw text; those of an article that was forgotten meanwhile do not.
SELECT revision_id FROM rerank.revision_text WHERE revision_id = ANY(CAST(:revision_ids AS bigint[])) ORDER BY revision_id

-- name: quarantine
-- Revisions that cannot be prepared, with the reason.
INSERT INTO rerank.quarantine (revision_id, stage, reason)
SELECT revision_id, 'prepare', reason
FROM unnest(CAST(:revision_ids AS bigint[]), CAST(:reasons AS text[])) AS p (revision_id, reason)
ORDER BY revision_id
ON CONFLICT DO NOTHING

-- name: tally
-- What the steps did to a batch, added to what they did to the run's batches before.
INSERT INTO rerank.run_metric AS m (run_id, stage, name, value)
SELECT :run_id, 'prepare', name, value
FROM unnest(CAST(:names AS text[]), CAST(:values AS double precision[])) AS t (name, value)
ON CONFLICT (run_id, stage, name) DO UPDATE SET value = m.value + EXCLUDED.value, recorded_at = now()

-- name: documents
-- Texts that are not known yet become documents, in digest order: concurrent runs cannot deadlock. One that was prepared
-- without a signature gets it.
INSERT INTO rerank.document AS d (digest, month, lang, lang_confidence, flags, length, text, terms, signature, marks)
SELECT digest, month, lang, lang_confidence, string_to_array(flags, ' '), length, text, terms, signature, marks
FROM pg_temp.new_document
ORDER BY digest
ON CONFLICT (digest) DO UPDATE SET signature = EXCLUDED.signature, marks = EXCLUDED.marks
WHERE d.signature IS NULL AND EXCLUDED.signature IS NOT NULL

-- name: revisions
-- Ties each revision to its document.
UPDATE rerank.revision r
SET document_id = d.document_id, title = p.title
FROM unnest(CAST(:revision_ids AS bigint[]), CAST(:digests AS bytea[]), CAST(:titles AS text[])) AS p (revision_id, digest, title)
JOIN rerank.document d ON d.digest = p.digest
WHERE r.revision_id = p.revision_id
