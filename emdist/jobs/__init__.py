"""What the command line, flows and estimators have done: fit, sweep, label, inspect, repeat."""
