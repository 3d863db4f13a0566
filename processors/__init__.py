"""coffea processors: events to columns and histograms."""
