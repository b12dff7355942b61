-- The database's clock is the one that windows are cut by.
SELECT now() AS now
