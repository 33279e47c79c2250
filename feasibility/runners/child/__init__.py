"""The program that runs in the child process; `__main__` is where it starts."""
