"""The templates as they were when somebody last looked at them; ``make snapshots`` writes them anew, to be reviewed.

What the functions' code hashes to is left out: it changes with every line of the service.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from support.synthesized import ENVIRONMENTS, template

FOLDER = Path(__file__).parent.parent / "infra" / "snapshots"

_ASSET = re.compile(r"\b[0-9a-f]{64}\b")


def snapshot_file(env: str) -> Path:
    """Where the snapshot of an environment is kept."""
    return FOLDER / f"{env}.json"


def current(env: str) -> str:
    """What the snapshot would be now."""
    return _ASSET.sub("ASSET", json.dumps(template(env), indent=1, sort_keys=True)) + "\n"


if __name__ == "__main__":
    for environment in ENVIRONMENTS:
        snapshot_file(environment).write_text(current(environment))
