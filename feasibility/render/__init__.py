"""One output format per module; these know records and units only."""
