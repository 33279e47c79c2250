"""Turns figures into a verdict, a score and a recommendation. Pure functions."""
