"""What the figures mean: verdict, score, recommendation. Pure functions."""
