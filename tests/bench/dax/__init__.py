"""What the cache tier costs: `python -m tests.bench.dax`."""
