"""The cache tier as its clients see it: the official DAX clients, unmodified, against real cache nodes."""
