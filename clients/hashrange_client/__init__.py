"""Clients: load generator, helpers and examples."""
