"""The cache tier: cache nodes that speak the DAX wire protocol in front of the tables."""
