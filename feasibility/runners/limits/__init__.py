"""How does the kernel limit the memory of a child process?"""
