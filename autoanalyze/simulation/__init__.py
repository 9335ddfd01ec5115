"""The simulated model: virtual time, an OpenAI-compatible endpoint, a labeller that knows the truth."""
