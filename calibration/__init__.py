"""Fits the latency projection to published measurements; a development tool, not in the wheel."""
