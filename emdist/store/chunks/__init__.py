"""Chunks of Zarr arrays: which there are, decoded within bounds, written directly."""
