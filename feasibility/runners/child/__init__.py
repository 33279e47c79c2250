"""The program that runs in the child process; it starts in `__main__`."""
