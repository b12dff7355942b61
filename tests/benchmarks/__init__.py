"""How fast the scorer is beside other ways to run the same checkpoint; `make bench` runs it."""
