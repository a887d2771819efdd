"""Schedules: one file per way to make iterations of passes, each with a ``schedule``."""
