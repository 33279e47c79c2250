"""Reads the records of instruments: memray, the runtime's profile and log, NVML."""
