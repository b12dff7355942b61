"""Observe: looks at runs and changes no page."""
