"""Inner loops over arrays, written with NumPy and Numba only."""
