"""Which figures a search shows, drawn from what its stages have left."""
