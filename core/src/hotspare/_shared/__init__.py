"""What the processes of a fleet share: the protocol of a store, stores, and the thread that stands between a store and a pool."""
