"""Streams of the tables whose partitions are on this node: recording changes, keeping shards, reading and trimming."""
