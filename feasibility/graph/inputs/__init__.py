"""Chooses sizes for the dims that a model leaves open, and inputs that it accepts."""
