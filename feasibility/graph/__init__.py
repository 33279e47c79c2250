"""What follows from a graph alone: types and shapes, sizes of inputs, cost."""
