"""Stored things: folders and objects, Zarr arrays as rows, labels, runs and saved models."""
