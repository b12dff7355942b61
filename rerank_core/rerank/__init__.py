"""Rerank: turns pairs into logits in the ledger; degrade orders what has none."""
