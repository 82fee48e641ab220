"""Tests of hashrange. A package, so that the helpers in `support` modules can be imported by name."""
