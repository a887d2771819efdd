"""Write the report of a flow's run beside its model, and attach it to the flow run."""

from emdist.errors import EmdistError
from emdist.fit.events import Warned
from emdist.flows.telling import Teller
from emdist.jobs.report import CARD, report_run
from emdist.runtime.extras import installed
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location

#: Bytes of a model card, at most.
_LIMIT = 1 << 20


def report(run: Location, tell: Teller) -> None:
    """Write the report of a finished run, if matplotlib is installed; a failure is a warning."""
    if not installed("matplotlib"):
        return
    try:
        found = report_run(run)
        card = open_folder(run).read(CARD, _LIMIT).decode()
    except EmdistError as error:
        tell(Warned(f"The report of the run could not be written: {error}"))
        return
    tell.reported(card, found["report"])
