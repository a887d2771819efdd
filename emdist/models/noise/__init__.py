"""Uniform noise beside the components of a mixture: Banfield and Raftery 1993."""
