"""Transactions at the nodes: participants, their locks and markers, and what finishes a transaction that stalled."""
