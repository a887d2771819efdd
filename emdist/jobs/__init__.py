"""Jobs, the work behind commands and flows: fit, sweep, label, inspect, repeat and compress."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.jobs import combine as combine
    from emdist.jobs import describe as describe
    from emdist.jobs import findings as findings
    from emdist.jobs import label_growth as label_growth
    from emdist.jobs import label_source as label_source
    from emdist.jobs import open_labels as open_labels
    from emdist.jobs import records as records
    from emdist.jobs import uncertainty as uncertainty
    from emdist.jobs import warming as warming
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
