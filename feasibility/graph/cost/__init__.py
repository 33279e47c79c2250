"""What does a graph cost: operations, bytes moved, activations alive at once?"""
