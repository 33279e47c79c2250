"""Turns records into labelled rows, one file per kind of report."""
