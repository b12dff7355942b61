"""Recall: finds the best candidates of each topic and freezes them."""
