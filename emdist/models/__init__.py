"""Models: a family, an assignment and a way to estimate mixture weights, as one object for EM."""
