"""What this package raises when a number it could return would be wrong."""

from __future__ import annotations


class StatisticsError(ValueError):
    """Input that has no correct statistical answer, or a fit that did not reach one."""
