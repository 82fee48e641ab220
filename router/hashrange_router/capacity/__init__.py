"""Capacity at the router: what requests consume is counted here, and refused here when a table has none left."""
