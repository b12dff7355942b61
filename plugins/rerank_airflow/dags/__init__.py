"""The DAGs: one module for each, with the function that builds the DAG of one pipeline."""
