"""What is known of targets and of the domains that they share. Pure: the time is passed in, no I/O."""
