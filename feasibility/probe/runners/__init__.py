"""Other machines and instruction sets that children can run on."""
