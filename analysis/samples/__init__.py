"""Pythia 8 recipes and the parametrised detector that make the built-in samples."""
