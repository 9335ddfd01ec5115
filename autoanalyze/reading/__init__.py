"""A labeller that reads: it knows texts and no truth. What it says is a draft: topics by words, no model."""
