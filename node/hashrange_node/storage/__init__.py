"""The storage engine behind the state machine."""
