"""Storage: folders and object stores, Zarr chunks, sources of rows, labels, runs and models."""
