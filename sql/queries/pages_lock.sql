-- latest.json is replaced by one writer at a time.
SELECT rerank.take_turn('pages ' || :pipeline)
