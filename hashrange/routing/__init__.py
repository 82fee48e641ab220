"""The way from a message to the node that can answer it, shared by routers and nodes.

`view` and `map` hold what is known of the cluster, `retry` says what may be sent again and when; these three are
pure. `feed` keeps the view up to date from any node of the cluster, `transport` sends messages and follows what
the nodes answer. See README.md in this folder.
"""
