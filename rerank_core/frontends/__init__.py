"""Frontends: what readers get (the contract, the JSON files, the copy in Redis)."""
