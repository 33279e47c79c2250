"""Checks before you deploy where an ONNX model can run."""

from __future__ import annotations

__version__ = "0.1.0"
