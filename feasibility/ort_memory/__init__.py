"""How much memory does ONNX Runtime need for a graph? A model of its CPU provider."""
