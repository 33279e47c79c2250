"""What follows from the graph of a model: types and shapes, input sizes, cost?"""
