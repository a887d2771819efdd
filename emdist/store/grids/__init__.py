"""Grids: variables with named dimensions, which make up rows and features."""
