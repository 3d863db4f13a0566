"""What a search is and how it runs: configuration, catalogue, samples, pipeline, figures, report."""
