-- Drops a month of the ledger. Who reads or writes the ledger waits behind this, so that it gives up soon.
SELECT set_config('lock_timeout', '3s', true), rerank.drop_month(CAST(:month AS date)) AS dropped
