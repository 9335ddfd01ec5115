"""One run, from overrides to its folder."""
