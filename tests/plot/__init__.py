"""Figures of fitted models, and the report of a run."""
