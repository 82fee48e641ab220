"""YCSB A to F against the embedded server, a cluster over three zones, and through the cache tier. See `__main__`."""
