"""How sure a model is: standard errors, bootstrap, stability of labels, one component more."""
