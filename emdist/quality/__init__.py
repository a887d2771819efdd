"""Compares fitted models with each other, and finds reasons to doubt their results."""
