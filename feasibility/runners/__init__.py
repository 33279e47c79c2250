"""Runs child processes: on this machine, over ssh, in containers, under emulation."""
