"""`hotspare drill`: a rehearsed disaster against embedded, fault-scripted providers."""
