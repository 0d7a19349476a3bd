"""OpenAI's Chat Completions, and everything that speaks it."""
