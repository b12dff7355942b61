-- The files of these publications are due for deletion.
SELECT rerank.withdraw_publications(CAST(:publication_ids AS bigint[]))
