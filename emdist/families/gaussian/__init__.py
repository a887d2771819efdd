"""What families of Gaussians share: shapes of covariances, floors, priors, conditionals, gaps."""
