"""Models the memory that ONNX Runtime holds for a model, from its graph alone."""
