"""Profile x device -> memory and latency there, as intervals."""
