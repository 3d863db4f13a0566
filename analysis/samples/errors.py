"""What can go wrong while making samples."""

from analysis.errors import DarkhorseError


class GenerationError(DarkhorseError):
    """A sample that cannot be generated, written or trusted."""
