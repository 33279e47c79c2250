"""Predicts latency: formulas, their coefficients, and anchors measured on the device."""
