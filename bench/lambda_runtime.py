"""``python -m bench.lambda_runtime``: the functions under AWS's runtime client, held to Lambda's limits, and not.

The package is built as it is deployed; the table is in dynalite, on this machine. One container is held to 256 MB and
the share of a processor that Lambda gives with it, the other has a processor to itself: that is the ceiling, what the
same work takes where nothing is rationed. Real containers get more processor while they are set up.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

from bench.report import aligned

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]  # what stands in for AWS is the tests' own

from scripts.build_lambda import build  # noqa: E402 - it is found by the line above
from support.dynalite import create_table, dynalite  # noqa: E402 - as above
from support.proxy_events import asked, posted, response_of  # noqa: E402 - as above
from support.runtime_api import CPU_SHARE, MEMORY_MB, Container, container  # noqa: E402 - as above

TABLE = "bench-logs"
INIT_SECONDS_AIM = 2.5
THOUSAND_MS_AIM = 50
_HANDLERS = {"ingest": "simple_log_service.aws.ingest.handler", "read": "simple_log_service.aws.read.handler"}
_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}


class Work(NamedTuple):
    """One thing to measure: an event, asked so often of one function."""

    name: str
    function: str
    event: Any
    repeats: int
    aim: str = ""


class Measured(NamedTuple):
    """What it took: milliseconds from event to answer, and of processor time an invocation."""

    p50_ms: float
    p99_ms: float
    cpu_ms: float


class Setup(NamedTuple):
    """A function's start: seconds until it asks for an event, the first one's, processor seconds, memory at the end."""

    ready_seconds: float
    first_seconds: float
    cpu_seconds: float
    memory_mb_max: float


class Result(NamedTuple):
    """All that one kind of container took. ``not_held`` says which limits this machine could not set."""

    setups: dict[str, Setup]
    work: dict[str, Measured]
    not_held: str


def main() -> int:
    """Measure and print; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.lambda_runtime", description="Measure the Lambda functions.")
    parser.add_argument("--repeats", type=int, default=100, help="invocations for each row (default: 100)")
    repeats = max(2, parser.parse_args().repeats)
    architecture = _ARCHITECTURES[platform.machine()]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    with TemporaryDirectory(prefix="slog-bench-") as folder, dynalite() as endpoint_url:
        package = build(architecture, python, Path(folder)).with_suffix("")
        create_table(endpoint_url, TABLE)
        work = _work(repeats)
        held = _measured(package, endpoint_url, work, limited=True)
        free = _measured(package, endpoint_url, work, limited=False)
    print(as_text(work, held, free))
    return 0


def as_text(work: Sequence[Work], held: Result, free: Result) -> str:
    """The tables, and what was not held."""
    share = f"{CPU_SHARE:.3f} CPU"
    starts = [["Start", "ready s", "first s", "CPU s", "peak MB", "ready s, a whole CPU", "aim"]]
    for name, setup in held.setups.items():
        numbers = [setup.ready_seconds, setup.first_seconds, setup.cpu_seconds]
        cells = [f"{number:.2f}" for number in numbers] + [f"{setup.memory_mb_max:.0f}"]
        starts.append([name, *cells, f"{free.setups[name].ready_seconds:.2f}", f"<= {INIT_SECONDS_AIM} s ready"])
    rows = [["Warm", "p50 ms", "p99 ms", "CPU ms", "a whole CPU: p50 ms", "p99 ms", "CPU ms", "aim"]]
    for each in work:
        took = (*held.work[each.name], *free.work[each.name])
        rows.append([each.name, *(f"{milliseconds:.1f}" for milliseconds in took), each.aim])
    limits = f"Held to {MEMORY_MB} MB and {share}." if not held.not_held else f"Limits {held.not_held}."
    return "\n\n".join((aligned(starts), aligned(rows), f"{limits} Load average: {os.getloadavg()[0]:.2f}."))


def _work(repeats: int) -> list[Work]:
    return [
        Work("one record", "ingest", posted(_record(0)), repeats),
        Work(
            "1000 records",
            "ingest",
            posted([_record(number) for number in range(1000)]),
            repeats,
            f"<= {THOUSAND_MS_AIM} ms p50",
        ),
        Work("newest 100 by service", "read", asked(service_name="shop"), repeats),
    ]


def _record(number: int) -> dict[str, Any]:
    return {
        "service_name": "shop",
        "log_type": "application",
        "level": "INFO",
        "message": f"order {number * 7919 % 100_000} of customer {number * 104_729 % 5000} took {number % 97} ms",
        "metadata": {"order_id": number * 7919 % 100_000, "region": "eu-central-1", "items": number % 7, "paid": True},
    }


def _measured(package: Path, endpoint_url: str, work: Sequence[Work], *, limited: bool) -> Result:
    environ = {
        "SIMPLE_LOG_SERVICE_TABLE_NAME": TABLE,
        "SIMPLE_LOG_SERVICE_INDEX_NAME": "TimestampIndex",
        "SIMPLE_LOG_SERVICE_DYNAMODB_ENDPOINT_URL": endpoint_url,
    }
    setups: dict[str, Setup] = {}
    measured: dict[str, Measured] = {}
    not_held = ""
    for name, handler in _HANDLERS.items():
        own = [each for each in work if each.function == name]
        with ExitStack() as stack:
            began = perf_counter()
            function = stack.enter_context(container(handler, package, environ, limited=limited))
            function.wait_until_ready()
            ready, cpu_seconds = perf_counter() - began, function.cpu_seconds
            first = function.timed(_bytes(own[0])).seconds
            measured |= {each.name: _repeated(function, each) for each in own}
            setups[name] = Setup(ready, first, cpu_seconds, function.memory_bytes_max / 1e6)
            not_held = function.group.not_held
    return Result(setups, measured, not_held)


def _repeated(function: Container, work: Work) -> Measured:
    event = _bytes(work)
    assert response_of(function.timed(event).payload).status < 300
    cpu_before = function.cpu_seconds
    milliseconds = [function.timed(event).seconds * 1000 for _ in range(work.repeats)]
    cpu_ms = (function.cpu_seconds - cpu_before) * 1000 / work.repeats
    percentiles = quantiles(milliseconds, n=100, method="inclusive")
    return Measured(percentiles[49], percentiles[98], cpu_ms)


def _bytes(work: Work) -> bytes:
    return json.dumps(work.event).encode()


if __name__ == "__main__":
    sys.exit(main())
