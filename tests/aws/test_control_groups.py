"""The limits that functions are tested and measured under are real ones.

A machine that cannot set any fails here, unless ``NO_CONTROL_GROUPS=1`` says that it is known; the functions' other
tests run there all the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.control_groups import ControlGroup

SPIN = "import time\nuntil = time.process_time() + {cpu_seconds}\nwhile time.process_time() < until: pass"

needs_control_groups = pytest.mark.skipif(
    os.environ.get("NO_CONTROL_GROUPS") == "1", reason="NO_CONTROL_GROUPS=1: memory and processor time are not held"
)


@contextmanager
def held(memory_mb: int, cpu_share: float) -> Iterator[ControlGroup]:
    """A group that really holds what is started in it."""
    with ControlGroup.made(memory_mb, cpu_share) as group:
        assert not group.not_held, f"{group.not_held}; where this cannot be helped, set NO_CONTROL_GROUPS=1"
        yield group


@needs_control_groups
def test_a_process_past_its_memory_is_ended() -> None:
    with held(64, 1.0) as group:
        command = group.command([sys.executable, "-S", "-c", "bytearray(128 << 20)"])
        ended = subprocess.run(command, check=False)

    assert ended.returncode == -9


@needs_control_groups
def test_a_process_gets_its_share_of_a_processor() -> None:
    with held(64, 0.1) as group:
        began = time.perf_counter()
        subprocess.run(group.command([sys.executable, "-S", "-c", SPIN.format(cpu_seconds=0.05)]), check=True)
        seconds = time.perf_counter() - began

    # At a tenth of a processor, 0.05 s of it take half a second; much less would mean that nothing holds.
    assert seconds > 0.3


def test_without_limits_a_command_is_started_all_the_same() -> None:
    with ControlGroup.none() as group:
        assert subprocess.run(group.command(["/bin/echo", "a b"]), check=True, capture_output=True).stdout == b"a b\n"
