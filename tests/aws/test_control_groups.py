"""The limits that functions are tested under are real ones, where this machine can set any."""

from __future__ import annotations

import subprocess
import sys
import time

from support.control_groups import ControlGroup

SPIN = "import time\nuntil = time.process_time() + {cpu_seconds}\nwhile time.process_time() < until: pass"


def test_a_process_past_its_memory_is_ended() -> None:
    with ControlGroup.made(64, 1.0) as group:
        command = group.command([sys.executable, "-S", "-c", "bytearray(128 << 20)"])
        ended = subprocess.run(command, check=False)

    if group.not_held:
        sys.stderr.write(f"\nMemory and processor time are {group.not_held}\n")
    else:
        assert ended.returncode == -9


def test_a_process_gets_its_share_of_a_processor() -> None:
    with ControlGroup.made(64, 0.1) as group:
        began = time.perf_counter()
        subprocess.run(group.command([sys.executable, "-S", "-c", SPIN.format(cpu_seconds=0.05)]), check=True)
        seconds = time.perf_counter() - began

    # At a tenth of a processor, 0.05 s of it take half a second; much less would mean that nothing holds.
    assert group.not_held or seconds > 0.3


def test_without_limits_a_command_is_started_all_the_same() -> None:
    with ControlGroup.none() as group:
        assert subprocess.run(group.command(["/bin/echo", "a b"]), check=True, capture_output=True).stdout == b"a b\n"
