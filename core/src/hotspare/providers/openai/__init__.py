"""OpenAI's Chat Completions, and the APIs compatible with it."""
