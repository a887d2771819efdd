"""Vectorised kernels that score and add up rows in vector registers, panel by panel."""
