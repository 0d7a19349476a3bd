"""`hotspare drill`: a rehearsed outage against an embedded provider that fails on request."""
