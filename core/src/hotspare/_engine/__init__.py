"""The engine: pure decisions about one call and about all of them. No I/O, no sleep, no clock."""
