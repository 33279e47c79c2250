"""Reports of records: their rows, and their layout for a terminal and for CI systems."""
