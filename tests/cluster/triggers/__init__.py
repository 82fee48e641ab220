"""A function that keeps a copy of a table, while the pool that runs it and the nodes under it are killed."""
