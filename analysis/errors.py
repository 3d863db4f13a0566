"""What can go wrong in a run, each told in one paragraph: what, where, what to do."""


class DarkhorseError(Exception):
    """Base of every error that the command line shows as a paragraph, without a traceback."""


class ConfigurationError(DarkhorseError):
    """A search file, catalogue or option that does not say something the toolkit understands."""


class CatalogueError(DarkhorseError):
    """A data set that is unknown, missing on disk, or cannot be made."""


class StageError(DarkhorseError):
    """A stage that cannot go on: too few events, an empty selection, an artefact that is missing."""
