"""Predicts memory and latency of a measured model on another machine, as intervals."""
