"""Sources of rows: Zarr arrays and NumPy arrays, block by block."""
