"""Fits the coefficients of the latency formulas to published measurements."""
