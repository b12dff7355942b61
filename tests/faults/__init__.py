"""Faults on purpose: stages are killed, frozen and cut off, and an oracle of its own checks what the promises say."""
