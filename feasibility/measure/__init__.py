"""Runs the passes over one model and builds its profile."""
