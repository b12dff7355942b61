"""Everything of news-rerank that needs Airflow: operators, signals, placement, the identity of a run, and views."""
