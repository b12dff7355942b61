-- Holds off every other change of the pipeline's topics until the transaction ends.
SELECT rerank.take_turn('topics ' || :pipeline)
