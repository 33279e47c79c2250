"""Where do child processes run? On this machine, over ssh, in containers, under emulation."""
