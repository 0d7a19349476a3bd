"""What calls cost. Pure."""
