"""Code that Gaussian families share: covariance types, variance floors, priors, missing values."""
