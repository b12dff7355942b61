"""Evaluation: how good a ranking is (judgements, measures, calibration, the playground)."""
