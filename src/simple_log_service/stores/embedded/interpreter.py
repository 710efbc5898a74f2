"""How CPython is set in the processes that serve, write, merge and search."""

from __future__ import annotations

import gc
import sys

_SWITCH_SECONDS = 0.0005


def tune() -> None:
    """Collect garbage seldom, and switch threads soon; to be called once everything is imported."""
    # Requests and merges make many objects and next to no cycles, while the memory tail holds long lists that every
    # full collection would walk: collecting seldom halves the cost of a request.
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)
    # The writer's thread wants the interpreter lock back several times a commit, each time for microseconds.
    sys.setswitchinterval(_SWITCH_SECONDS)
