-- Near-copies form a cluster.
SELECT 1;
