"""Signals: what the DAGs tell others: assets, notifiers, alerts and metrics."""
