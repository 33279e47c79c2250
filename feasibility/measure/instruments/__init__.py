"""Reads what each instrument recorded: memray, the profiler, the log, the GPU."""
