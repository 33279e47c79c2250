"""Compares predictions with published measurements and states their error."""
