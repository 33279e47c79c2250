"""Reads measurements of other programs as profiles."""
