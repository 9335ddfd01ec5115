"""autoanalyze: label conversations with an LLM, in parallel and consistently."""
