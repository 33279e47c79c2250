"""How is a model measured? In passes, from which a profile is built."""
