"""The configuration: its sections, their checks, and the YAML file that holds it."""
