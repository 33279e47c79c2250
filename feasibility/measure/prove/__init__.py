"""Runs a model under memory limits and finds the lowest that it survives."""
