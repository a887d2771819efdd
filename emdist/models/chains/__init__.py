"""Parts of hidden Markov models: parameters, sweeps over a block, links between blocks."""
