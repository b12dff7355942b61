-- name: segments
-- Segments that may have documents of a window, the oldest first.
SELECT segment_id, document_ids
FROM rerank.term_segment
WHERE first_document_id <= :last AND last_document_id >= :first
ORDER BY segment_id

-- name: segment
-- What one segment says of its documents.
SELECT lengths, postings FROM rerank.term_segment WHERE segment_id = :segment_id

-- name: terms
-- The BM25 terms of documents, as prepare has stored them.
SELECT document_id, terms FROM rerank.document WHERE document_id = ANY(CAST(:document_ids AS bigint[])) ORDER BY document_id

-- name: hold_terms
-- The same, and none of these documents is deleted before the segment of them is stored.
SELECT document_id, terms FROM rerank.document WHERE document_id = ANY(CAST(:document_ids AS bigint[])) ORDER BY document_id
FOR KEY SHARE

-- name: add
-- Stores a segment.
INSERT INTO rerank.term_segment (first_document_id, last_document_id, document_ids, lengths, postings)
SELECT min(document_id), max(document_id), :document_ids, :lengths, :postings
FROM unnest(CAST(:document_ids AS bigint[])) AS d (document_id)
HAVING count(*) > 0

-- name: used
-- Notes, once a day, that runs read these segments.
UPDATE rerank.term_segment SET used_at = now()
WHERE segment_id = ANY(CAST(:segment_ids AS bigint[])) AND used_at < now() - interval '1 day'
