"""The runner `emulate:aarch64`: ONNX Runtime's aarch64 build in QEMU on this machine."""
