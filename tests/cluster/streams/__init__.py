"""Streams of a real cluster, checked from outside: every acknowledged change once, in order.

`changes` writes items and notes what was acknowledged, `reader` reads a stream shard by shard through boto3, `check`
compares the two. Nothing here knows how the server works.
"""
