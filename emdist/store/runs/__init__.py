"""Runs and models: records, checkpoints and results, which vouch for themselves."""
