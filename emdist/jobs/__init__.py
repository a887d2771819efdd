"""Jobs, the work behind commands and flows: fit, sweep, label, inspect, repeat and compress."""
