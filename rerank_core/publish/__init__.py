"""Publish: makes a page in one transaction."""
