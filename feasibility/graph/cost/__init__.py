"""Counts what a graph costs: operations, bytes moved, activations alive at once."""
