"""Turns records into text. All words and all rounding are here."""
