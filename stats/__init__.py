"""Counts and templates in, p-values and limits out. Knows nothing of detectors or files."""
