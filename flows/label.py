"""Entry point of a clone: ``python -m flows.label`` runs `emdist.flows.label`."""

from emdist.flows.label import main
from emdist.flows.script import leave

if __name__ == "__main__":
    leave(main())
