"""Runs ONNX Runtime's aarch64 build under QEMU on this machine."""
