"""Operators: one module for each kind of task."""
