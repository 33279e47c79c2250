"""Memory limits on a child process, enforced by the kernel."""
