"""How does a record look? Rows of reports, and their layout for terminals and CI systems."""
