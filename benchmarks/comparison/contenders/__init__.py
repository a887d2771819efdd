"""Contenders: one module per peer or limit, with a function for each task that it takes part in."""
