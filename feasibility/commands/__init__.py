"""One command per module, thin: parse, call, render."""
