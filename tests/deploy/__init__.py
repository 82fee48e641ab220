"""Tests of what is in deploy/: configurations, rules, dashboards, and runs of the real programs."""
