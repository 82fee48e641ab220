"""What running programs share: configuration, telemetry, the clock, the event loop."""
