"""Runs a model under memory limits, and searches the lowest that it survives."""
