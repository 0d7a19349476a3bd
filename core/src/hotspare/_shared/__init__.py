"""State shared between the processes of a fleet: the protocol of a store, the stores, and the thread between a store and a pool."""
