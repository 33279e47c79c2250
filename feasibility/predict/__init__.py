"""How much memory and time does a measured model need on another machine? Intervals."""
