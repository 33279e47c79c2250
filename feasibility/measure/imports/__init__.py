"""What other programs measured on a device, read as profiles."""
