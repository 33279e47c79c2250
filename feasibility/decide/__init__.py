"""Which verdict, score and recommendation follow from the figures? Pure functions."""
