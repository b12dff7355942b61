"""Scheduled, precomputed topical ranking of news."""

__version__ = "0.1.0"
