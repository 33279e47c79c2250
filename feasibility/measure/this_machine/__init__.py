"""Reads what this machine is, and measures how fast it is."""
