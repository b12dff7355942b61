-- What a ranking shows of an article; where it stood is kept.
UPDATE rerank.ranking SET title = '', url = NULL
WHERE publication_id = ANY(CAST(:publication_ids AS bigint[])) AND article_id = :article_id AND (title, url) IS DISTINCT FROM ('', NULL)
