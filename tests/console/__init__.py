"""The web console: its parts, the server over HTTP, and the pages in a real browser."""
