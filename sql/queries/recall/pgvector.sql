-- name: ensure
-- The table of an embedder's vectors is there.
SELECT rerank.ensure_vectors(:embedder_id, :dimensions)

-- name: missing
-- Those of these documents that have no vector.
SELECT w.document_id
FROM unnest(CAST(:document_ids AS bigint[])) AS w (document_id)
WHERE NOT EXISTS (SELECT FROM {vectors} v WHERE v.document_id = w.document_id)
ORDER BY w.document_id

-- name: search_path
-- The extension may be in any schema; until the transaction ends its types and operators are found by their names.
SELECT set_config('search_path', quote_ident(n.nspname) || ', pg_catalog', true)
FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'vector'

-- name: add
-- Vectors of documents that have none, in key order: concurrent runs cannot deadlock. A document may be gone by now.
INSERT INTO {vectors} (document_id, vector)
SELECT n.document_id, CAST(n.vector AS halfvec)
FROM unnest(CAST(:document_ids AS bigint[]), CAST(:vectors AS text[])) AS n (document_id, vector)
JOIN rerank.document d USING (document_id)
ORDER BY n.document_id
FOR KEY SHARE OF d
ON CONFLICT (document_id) DO NOTHING

-- name: read
-- Vectors as pgvector sends them.
SELECT document_id, halfvec_send(vector) AS vector
FROM {vectors}
WHERE document_id = ANY(CAST(:document_ids AS bigint[]))
ORDER BY document_id

-- name: search_settings
-- As thorough as pgvector's index can be; a search goes on until enough has come, and no other plan is cheaper.
SELECT set_config('hnsw.ef_search', '1000', true),
       set_config('hnsw.iterative_scan', 'relaxed_order', true),
       set_config('hnsw.max_scan_tuples', '200000', true),
       set_config('hnsw.scan_mem_multiplier', '8', true),
       set_config('enable_seqscan', 'off', true),
       set_config('enable_sort', 'off', true)

-- name: nearest
-- The documents nearest to a query, by the index. The wanted ones are looked up one by one: a join would be planned the
-- other way round, and read them all.
SELECT v.document_id, -(v.vector <#> CAST(:query AS halfvec)) AS likeness
FROM {vectors} v
WHERE (EXISTS (SELECT FROM {wanted} w WHERE w.document_id = v.document_id)) IS TRUE
ORDER BY v.vector <#> CAST(:query AS halfvec)
LIMIT :limit

-- name: exact
-- The documents nearest to a query, each compared.
SELECT document_id, likeness
FROM (
    SELECT v.document_id, -(v.vector <#> CAST(:query AS halfvec)) AS likeness
    FROM {wanted} w
    JOIN {vectors} v USING (document_id)
    OFFSET 0
) compared
ORDER BY likeness DESC, document_id
LIMIT :limit
