"""What are the type and shape of every value of a graph?"""
