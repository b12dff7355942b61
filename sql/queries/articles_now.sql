-- The time that the newest article of a sample is moved to.
SELECT now() AS now
