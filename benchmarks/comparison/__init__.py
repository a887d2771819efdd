"""Compare emdist with its peers and with limits of the machine, on the same data in one run."""
