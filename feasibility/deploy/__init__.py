"""Writes the files to deploy: the model, its options, loading code and a model card."""
