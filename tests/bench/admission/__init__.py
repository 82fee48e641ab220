"""How exactly capacity is admitted: by several routers together, over a burst, on demand, under auto scaling."""
