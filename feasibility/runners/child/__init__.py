"""Which program runs in the child process? It starts in `__main__`."""
