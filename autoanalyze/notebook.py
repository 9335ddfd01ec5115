"""What a person sees below a notebook's cell while a run goes on.

IPython is no dependency: who runs in it has loaded it, and only then is it looked for. Progress
arrives from the thread that works on the run, which ipykernel allows: a message that updates a
display finds it by the display's id, whichever cell it seems to come from. From a thread it seems
to come from the cell that is being executed; that is also the only one that nbclient listens to,
so the context of the starting cell is deliberately not carried into the thread.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from autoanalyze.progress import FINAL, Progress, phases_table

__all__ = ["LiveProgress", "live_progress"]

SHOW_EVERY_SECONDS = 0.25
"""Wall time between two updates, so that neither browser nor run is kept busy with them."""


class LiveProgress:
    """A listener that shows one run as a table, updated in place; its last state stays.

    `display` is IPython's. It is called at once, and so must the constructor be: in the cell below
    which the table belongs.
    """

    def __init__(self, display: Callable[..., Any]) -> None:
        self._moments: dict[str, Progress] = {}
        self._shown = time.monotonic()
        self._handle = display(bundle([Progress()]), raw=True, display_id=True)

    def __call__(self, progress: Progress) -> None:
        """Show a moment of the run, unless another was shown just now; new phases and ends always are."""
        entered = progress.phase not in self._moments
        self._moments[progress.phase] = progress
        now = time.monotonic()
        if entered or progress.status in FINAL or now - self._shown > SHOW_EVERY_SECONDS:
            self._handle.update(bundle([*self._moments.values()]), raw=True)
            self._shown = now


def bundle(moments: list[Progress]) -> dict[str, str]:
    """The newest moment of each phase so far as what IPython displays."""
    now = moments[-1]
    return {"text/html": phases_table(moments), "text/plain": f"{now.status}: {now.figures()}"}


def live_progress() -> LiveProgress | None:
    """A table below the cell that is being executed, for one run; null outside Jupyter's kernels."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    # IPython in a terminal has no kernel, and nothing that could be updated in place.
    in_kernel = getattr(get_ipython(), "kernel", None) is not None
    return LiveProgress(display) if in_kernel else None
