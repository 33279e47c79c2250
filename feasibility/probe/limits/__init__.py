"""Memory limits that the kernel enforces on a child, by whatever means the machine offers."""
