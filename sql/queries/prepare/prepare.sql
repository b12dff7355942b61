-- name: hold
-- Keeps documents from being deleted while this transaction ties revisions and clusters to them.
LOCK TABLE rerank.document IN ROW EXCLUSIVE MODE

-- name: count
-- Counts where each revision of the run went, and how many of its documents are near-copies of another text.
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
-- Records that every revision of the run is prepared or in quarantine.
UPDATE rerank.run SET prepared_at = COALESCE(prepared_at, clock_timestamp()) WHERE run_id = :run_id

-- name: pending
-- The next revisions that are neither prepared nor in quarantine, with their raw text: revisions of the run, and of
-- earlier runs that were never published. So many that their texts have a bounded length together, and one at least. A text
-- is not read for its length.
WITH next AS (
    SELECT r.revision_id, r.article_id, r.lang,
           least(COALESCE(octet_length(t.title), 0), 4 * :characters)
           + least(COALESCE(octet_length(t.summary), 0), 4 * :characters)
           + least(COALESCE(octet_length(t.body), 0), 4 * :characters) AS bytes
    FROM rerank.revision r
    JOIN rerank.run u USING (run_id)
    JOIN rerank.revision_text t USING (revision_id)
    WHERE (u.run_id = :run_id OR u.pipeline = :pipeline AND u.published_at IS NULL AND u.until <= :until)
      AND r.revision_id > :after AND r.document_id IS NULL
      AND NOT EXISTS (SELECT FROM rerank.quarantine q WHERE q.revision_id = r.revision_id)
    ORDER BY r.revision_id
    LIMIT :batch
), summed AS (
    SELECT next.*, sum(bytes) OVER (ORDER BY revision_id) AS bytes_so_far FROM next
)
SELECT s.revision_id, s.article_id, s.lang, left(t.title, :characters) AS title, left(t.summary, :characters) AS summary,
       left(t.body, :characters) AS body
FROM summed s
JOIN rerank.revision_text t USING (revision_id)
WHERE s.bytes_so_far <= :bytes OR s.bytes_so_far = s.bytes
ORDER BY s.revision_id

-- name: remaining
-- Which of these revisions still have their raw text: the revisions of an article that was forgotten meanwhile do not.
SELECT revision_id FROM rerank.revision_text WHERE revision_id = ANY(CAST(:revision_ids AS bigint[])) ORDER BY revision_id

-- name: quarantine
-- Sets aside the revisions that cannot be prepared, with the reason.
INSERT INTO rerank.quarantine (revision_id, stage, reason)
SELECT revision_id, 'prepare', reason
FROM unnest(CAST(:revision_ids AS bigint[]), CAST(:reasons AS text[])) AS p (revision_id, reason)
ORDER BY revision_id
ON CONFLICT DO NOTHING

-- name: tally
-- Adds what the steps did to a batch to what they did to the run's earlier batches.
INSERT INTO rerank.run_metric AS m (run_id, stage, name, value)
SELECT :run_id, 'prepare', name, value
FROM unnest(CAST(:names AS text[]), CAST(:values AS double precision[])) AS t (name, value)
ON CONFLICT (run_id, stage, name) DO UPDATE SET value = m.value + EXCLUDED.value, recorded_at = now()

-- name: new_document_table
-- Receives the documents of a batch by COPY, which INSERT cannot match in speed; "documents" moves them on.
CREATE TEMP TABLE IF NOT EXISTS new_document (
    digest bytea,
    month date,
    lang text,
    lang_confidence real,
    flags text,
    length integer,
    text text,
    terms text,
    signature bytea,
    pictures text[]
) ON COMMIT DROP

-- name: documents
-- Adds the texts that are not known yet, in digest order, so that concurrent runs cannot deadlock. A known document that
-- was prepared without a signature gets its signature.
INSERT INTO rerank.document AS d (digest, month, lang, lang_confidence, flags, length, text, terms, signature, pictures)
SELECT digest, month, lang, lang_confidence, string_to_array(flags, ' '), length, text, terms, signature, COALESCE(pictures, '{}')
FROM pg_temp.new_document
ORDER BY digest
ON CONFLICT (digest) DO UPDATE SET signature = EXCLUDED.signature
WHERE d.signature IS NULL AND EXCLUDED.signature IS NOT NULL

-- name: revisions
-- Ties each revision to its document, and gives it the cleaned title and its letters.
UPDATE rerank.revision r
SET document_id = d.document_id, title = p.title, letters_in = p.letters_in, letters_out = p.letters_out
FROM unnest(CAST(:revision_ids AS bigint[]), CAST(:digests AS bytea[]), CAST(:titles AS text[]),
            CAST(:letters_in AS integer[]), CAST(:letters_out AS integer[])) AS p (revision_id, digest, title, letters_in, letters_out)
JOIN rerank.document d ON d.digest = p.digest
WHERE r.revision_id = p.revision_id
