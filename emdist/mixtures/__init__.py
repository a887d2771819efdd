"""What a fitted mixture can tell: densities, draws, moments, marginals, conditionals, sums."""
