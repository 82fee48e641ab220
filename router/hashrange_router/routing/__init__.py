"""The partition map and the way from a key to its leader."""
