"""Background functions of resonance searches, by name and number of parameters."""

from stats.families.dijet import dijet
from stats.families.registry import FAMILIES, Recipe, family, orders

__all__ = ["FAMILIES", "Recipe", "dijet", "family", "orders"]
