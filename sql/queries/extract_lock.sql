-- Claims of one pipeline go one at a time: concurrent anti-joins would claim the same rows.
SELECT rerank.take_turn('claim ' || :pipeline)
