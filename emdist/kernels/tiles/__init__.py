"""Plain loops over tiles: runs of rows that stay in cache."""
