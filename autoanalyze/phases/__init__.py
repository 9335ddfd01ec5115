"""The three phases and what they work with. They know no Hydra, no DuckDB and no openai."""
