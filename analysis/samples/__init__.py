"""Pythia 8 recipes and the parametrised detector that make the built-in samples."""

from analysis.samples.errors import GenerationError
from analysis.samples.generate import generate, is_complete, missing_files, read_summary, sample_files
from analysis.samples.recipe import Recipe

__all__ = ["GenerationError", "Recipe", "generate", "is_complete", "missing_files", "read_summary", "sample_files"]
