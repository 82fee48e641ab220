"""Measurements: no test asserts a time, these programs report them."""
