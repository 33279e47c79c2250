"""What can a user type? One command per module: read options, make one call, print one report."""
