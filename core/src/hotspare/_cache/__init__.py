"""The cache of answers: keys, stores, concurrent identical calls, and the flow of a call with a cache."""
