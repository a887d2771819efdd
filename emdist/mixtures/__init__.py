"""A mixture as a distribution: densities, draws, moments, marginals, conditionals, sums."""
