"""A partition's replica: evaluation at the leader, proposal, commit and apply."""
