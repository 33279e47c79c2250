"""Where can an ONNX model run? Checked before you deploy the model."""

from __future__ import annotations

__version__ = "0.1.0"
