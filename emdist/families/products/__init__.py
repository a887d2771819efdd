"""Code for products of families: groups of features, joined densities, marginals, conditionals."""
