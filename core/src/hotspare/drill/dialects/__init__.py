"""The server side of the providers' APIs. It shares no code with `hotspare.providers`, so that each checks the other."""
