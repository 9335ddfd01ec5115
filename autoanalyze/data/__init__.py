"""Sessions: where they lie, how they come in, which are taken, and invented ones."""
