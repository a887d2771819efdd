"""What products of families are made of: groups of features, their densities side by side."""
