"""What commands and flows do: fit, sweep, label, inspect, repeat and compress."""
