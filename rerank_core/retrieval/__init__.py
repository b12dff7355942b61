"""Recall strategies behind one small protocol, and the stores of vectors that some of them search."""
