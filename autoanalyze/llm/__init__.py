"""Everything between the phases and an endpoint: prompts, tokens, the journal, the client."""
