"""Reference architectures as ONNX files with seeded weights."""
