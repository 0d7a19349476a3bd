"""Which targets a call may use, in which order, and why not the others. Pure."""
