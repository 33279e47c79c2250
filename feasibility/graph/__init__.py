"""The model file: reading it without its weights, and what follows from the graph alone."""
