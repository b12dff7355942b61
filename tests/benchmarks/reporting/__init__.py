"""The pages of results: each module makes one from the figures that its benchmark measured. Pure functions."""
