"""What is known of a model file without running it."""
