-- As thorough as pgvector's index can be; a search goes on until enough has come, and no other plan is cheaper.
SELECT set_config('hnsw.ef_search', '1000', true),
       set_config('hnsw.iterative_scan', 'relaxed_order', true),
       set_config('hnsw.max_scan_tuples', '200000', true),
       set_config('hnsw.scan_mem_multiplier', '8', true),
       set_config('enable_seqscan', 'off', true),
       set_config('enable_sort', 'off', true)
