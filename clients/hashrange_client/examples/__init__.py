"""Small programs that show how hashrange is used; each runs with `python -m`."""
