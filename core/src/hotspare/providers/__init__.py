"""Wire formats (pure functions between the providers' JSON and hotspare's messages), presets, and the HTTP backend."""
