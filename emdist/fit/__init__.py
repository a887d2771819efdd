"""How a model is fitted: survey, starting values, passes over blocks, the EM loop and runs."""
