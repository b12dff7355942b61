"""Views in Airflow's UI: what was ranked, by what, how well and how fast. They change nothing."""
