"""The stages of a search, each reading what the one before it wrote."""
