-- The languages of a publication's rows.
SELECT DISTINCT lang FROM rerank.ranking WHERE publication_id = :publication_id ORDER BY lang
