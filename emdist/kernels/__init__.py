"""Arrays in, arrays out: the inner loops, in numpy and numba only."""
