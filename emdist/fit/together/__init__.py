"""Several fits, or the restarts of one, which advance together and share their reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.fit.together import bundle as bundle
    from emdist.fit.together import sweep as sweep
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
