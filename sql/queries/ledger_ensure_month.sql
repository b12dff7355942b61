-- The partition that a month's documents keep their scores in.
SELECT rerank.ensure_month(CAST(:month AS date))
