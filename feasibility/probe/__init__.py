"""The child process: what runs in it, how it is started, watched and ended."""
