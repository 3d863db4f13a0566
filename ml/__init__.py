"""Anomaly detectors: arrays in, scores out. Knows nothing of files, coffea or fits."""
