"""Chunks of Zarr arrays: which exist, decoding within limits, and direct writing."""
