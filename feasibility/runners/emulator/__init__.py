"""How is a model measured as on 64-bit Arm? With ONNX Runtime's aarch64 build in QEMU."""
