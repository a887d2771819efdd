"""Everything that touches Zarr, object stores and files."""
