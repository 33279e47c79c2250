"""Prints rows on a terminal, one file per report."""
