"""pytest plugin: off until used."""
