"""The node's one append-only log, shared by all replication groups."""
