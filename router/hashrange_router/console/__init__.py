"""The web console: pages that show a cluster in a browser, and the small server behind them. See README.md."""
