-- Budgets and topics that abstain.
SELECT 1;
