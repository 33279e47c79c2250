"""What ONNX Runtime holds for a graph, told without running it."""
