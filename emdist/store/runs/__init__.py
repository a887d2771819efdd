"""Runs and models: records, checkpoints, owners and results, each verified when it is read."""
