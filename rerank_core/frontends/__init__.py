"""Frontends: what readers get (the contract, the JSON pages, the copy in Redis)."""
