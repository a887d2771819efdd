"""Chunks of Zarr arrays: which exist, and how to decode them within limits and write them directly."""
