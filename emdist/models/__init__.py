"""What EM sees: a family, an assignment and the weights, as one model."""
