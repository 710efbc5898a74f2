"""Holding a process to so much memory and processor time, by Linux's control groups, version 2 or 1.

Making one needs root and a file system that can be written to. Where that is not so, the process runs unheld, and
``not_held`` says what is missing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_CPU_PERIOD_US = 20_000
"""Short, so that a share comes evenly: with the kernel's own 100 ms a process would stall for 85 at a time."""
_GONE_SECONDS_MAX = 5.0


class ControlGroup:
    """Some folders of the control group file system, one a controller or one for all. ``not_held`` is for people."""

    def __init__(self, folders: Sequence[Path], not_held: str = "") -> None:
        self.not_held = not_held
        self._folders = folders

    def command(self, command: Sequence[str]) -> list[str]:
        """The command, started inside the group."""
        joins = [f"echo $$ > {folder}/cgroup.procs" for folder in self._folders]
        return ["/bin/sh", "-c", " && ".join([*joins, 'exec "$0" "$@"']), *command]

    @classmethod
    @contextmanager
    def none(cls) -> Iterator[ControlGroup]:
        """No limits at all."""
        yield cls(())

    @classmethod
    @contextmanager
    def made(cls, memory_mb: int, cpu_share: float) -> Iterator[ControlGroup]:
        """A group that is held to so much; its processes have to be gone when it is left."""
        made: list[Path] = []
        missing: list[str] = []
        try:
            for controller, settings in _settings(memory_mb * 2**20, cpu_share).items():
                folder = _parent(controller) / f"slog-{os.getpid()}-{time.monotonic_ns()}"
                try:
                    folder.mkdir()
                    made.append(folder)
                    for name, value in settings.items():
                        (folder / name).write_text(value)
                except OSError as error:
                    missing.append(f"{controller} ({error.strerror})")
            yield cls(made, f"not held here: {', '.join(missing)}" if missing else "")
        finally:
            for folder in made:
                _remove(folder)


def _settings(memory_bytes: int, cpu_share: float) -> dict[str, dict[str, str]]:
    quota_us = str(round(_CPU_PERIOD_US * cpu_share))
    if _is_version_2():
        return {
            "memory": {"memory.max": str(memory_bytes), "memory.swap.max": "0"},
            "cpu": {"cpu.max": f"{quota_us} {_CPU_PERIOD_US}"},
        }
    return {
        "memory": {"memory.limit_in_bytes": str(memory_bytes)},
        "cpu": {"cpu.cfs_period_us": str(_CPU_PERIOD_US), "cpu.cfs_quota_us": quota_us},
    }


def _is_version_2() -> bool:
    return (_ROOT / "cgroup.controllers").exists()


def _parent(controller: str) -> Path:
    return _ROOT if _is_version_2() else _ROOT / controller


def _remove(folder: Path) -> None:
    """Once its processes, which have ended, are out of the kernel's books."""
    until = time.monotonic() + _GONE_SECONDS_MAX
    while True:
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
