-- A publication with its rows.
SELECT rerank.drop_publication(:publication_id)
