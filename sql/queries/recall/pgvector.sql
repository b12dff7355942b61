-- name: ensure
-- Makes the table of an embedder's vectors, if it is missing.
SELECT rerank.ensure_vectors(:embedder_id, :dimensions)

-- name: missing
-- Which of these documents have no vector.
SELECT w.document_id
FROM unnest(CAST(:document_ids AS bigint[])) AS w (document_id)
WHERE NOT EXISTS (SELECT FROM {vectors} v WHERE v.document_id = w.document_id)
ORDER BY w.document_id

-- name: add
-- Stores vectors of documents that have no vector, in key order, so that concurrent runs cannot deadlock. A document that
-- was deleted meanwhile is left out.
INSERT INTO {vectors} (document_id, vector)
SELECT n.document_id, CAST(n.vector AS halfvec)
FROM unnest(CAST(:document_ids AS bigint[]), CAST(:vectors AS text[])) AS n (document_id, vector)
JOIN rerank.document d USING (document_id)
ORDER BY n.document_id
FOR KEY SHARE OF d
ON CONFLICT (document_id) DO NOTHING

-- name: search_settings
-- Makes searches of this transaction as thorough as the index of pgvector can be. A search goes on until it has found
-- enough, and the planner takes the index.
SELECT set_config('hnsw.ef_search', '1000', true),
       set_config('hnsw.iterative_scan', 'relaxed_order', true),
       set_config('hnsw.max_scan_tuples', '200000', true),
       set_config('hnsw.scan_mem_multiplier', '8', true),
       set_config('enable_seqscan', 'off', true),
       set_config('enable_sort', 'off', true)

-- name: create_wanted
-- Holds the documents of a window for the searches of one transaction: most topics search the same documents.
CREATE TEMP TABLE {wanted} (document_id bigint PRIMARY KEY) ON COMMIT DROP

-- name: analyze_wanted
-- Tells the planner how many documents are wanted.
ANALYZE {wanted}

-- name: drop_wanted
-- Makes room for another set of documents.
DROP TABLE {wanted}

-- name: nearest
-- The wanted documents nearest to a query, by the index. Each document that the index finds is looked up among the
-- wanted documents; a join would be planned the other way round, and read all wanted documents.
SELECT v.document_id, -(v.vector <#> CAST(:query AS halfvec)) AS cosine
FROM {vectors} v
WHERE (EXISTS (SELECT FROM {wanted} w WHERE w.document_id = v.document_id)) IS TRUE
ORDER BY v.vector <#> CAST(:query AS halfvec)
LIMIT :limit

-- name: exact
-- The wanted documents nearest to a query, by comparing all of them.
SELECT document_id, cosine
FROM (
    SELECT v.document_id, -(v.vector <#> CAST(:query AS halfvec)) AS cosine
    FROM {wanted} w
    JOIN {vectors} v USING (document_id)
    OFFSET 0
) compared
ORDER BY cosine DESC, document_id
LIMIT :limit
