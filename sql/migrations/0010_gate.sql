-- Checks before the pointer moves, and what was approved by hand.
SELECT 1;
