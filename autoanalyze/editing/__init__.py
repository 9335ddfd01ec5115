"""What people change in a finished run: merges undone, names edited, sessions corrected."""
