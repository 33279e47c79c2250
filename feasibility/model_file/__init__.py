"""Reads an untrusted model file into a graph without its weights."""
