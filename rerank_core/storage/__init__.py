"""Storage: the database and the store, in which the stages meet."""
