"""The Lambda control API: functions, versions, aliases, event source mappings, and Invoke."""
