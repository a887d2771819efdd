"""Kernels that loop over tiles: small runs of rows that stay in the cache of the processor."""
