"""Storage: where the stages meet (database, store, and the records that they share)."""
