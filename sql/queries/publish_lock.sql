-- Publications of one pipeline commit one at a time, so that the pointer is compared with what stands.
SELECT rerank.take_turn('publish ' || :pipeline)
