"""What is known about a model file without running it?"""
