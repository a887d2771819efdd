"""The noise component of a mixture, which has a uniform density: Banfield and Raftery 1993."""
