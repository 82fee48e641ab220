"""Global tables at the router: which regions have a replica, what they share, and how they tell one another."""
