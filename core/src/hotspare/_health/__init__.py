"""The health of targets and of the failure domains that they share. Pure: the time is passed in, no I/O."""
