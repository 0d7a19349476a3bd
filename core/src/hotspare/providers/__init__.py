"""Wire formats: pure functions between the providers' JSON and hotspare's messages, and the presets that name them."""
