"""`hashrange bench`: the load generator's command line, its progress, its tables and its report."""
