"""Runtimes of our own, run by the interpreters of their languages: `node.mjs` for Node functions."""
