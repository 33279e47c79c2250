"""Reads facts of this machine, and measures its speed."""
