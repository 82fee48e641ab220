"""The control plane: the catalogue and what acts on it."""
