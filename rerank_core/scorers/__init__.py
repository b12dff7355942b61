"""Scorers: what turns pairs into logits. `base` is the contract, `vllm` the engine, `identity` a scorer's name."""
