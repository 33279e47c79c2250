"""What do reports say? One module per report, named after it."""
