"""Global tables on a storage node: marks of changed items, and sending these to other regions."""
