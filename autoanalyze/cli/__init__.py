"""The terminal: commands, and what they print."""
