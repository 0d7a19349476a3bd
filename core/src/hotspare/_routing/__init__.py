"""Which targets a call may use, in which order, and why others are excluded. Pure."""
