"""Sixteen failover scenarios, as data, against the embedded provider over real sockets with a pool's default settings."""
