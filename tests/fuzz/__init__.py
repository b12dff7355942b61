"""Fuzzing: drawn inputs, mutated inputs, and what must hold of each."""
