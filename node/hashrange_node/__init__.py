"""The storage node: log, storage engine, replicas and the control-plane state."""
