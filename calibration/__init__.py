"""How is the latency projection fitted to published measurements? Not in the wheel."""
