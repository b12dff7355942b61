"""Prepare: turns raw text into documents."""
