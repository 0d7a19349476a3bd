"""What is known of targets and of the domains that they share. Pure: told the time, no I/O."""
