"""``python -m bench.growth``: how the service keeps up as more is stored, in one store that grows from size to size.

The planted words are all among the first size's records, so that a search finds the same and has ever more to rule out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import msgspec

from bench import plan
from bench.__main__ import FOLDER, SECONDS, fail, positive_seconds, progress, records_at_least, run_in
from bench.asking import read_row
from bench.load import Conversation
from bench.measure import start_facts, stopped_bytes
from bench.processes import Server, log_server
from bench.reads import newest, walk
from bench.records import SERVICE_NAMES, Records, planted, stamps_in_order
from bench.report import aligned
from bench.searches import questions
from bench.storing import store
from bench.targets import Own

SIZES = (1_000_000, 3_000_000, 10_000_000, 30_000_000)
PAGE_10 = "page 10 by service"
READY, MEMORY, DISK, CPU = "ready after start", "peak memory", "disk for a record", "CPU for a million, settled"
READS = (plan.BY_SERVICE, plan.BY_TYPE, plan.BY_RARE_SERVICE, PAGE_10)
SEARCHES = (plan.RARE_WORD, plan.ABSENT_WORD, plan.COMMON_WORD, plan.COUNT)
COSTS = (READY, MEMORY, DISK, CPU)
UNITS = {**dict.fromkeys((*READS, *SEARCHES), "ms"), READY: "s", MEMORY: "MiB", DISK: "bytes", CPU: "s"}
"""Every quantity that is measured at each size, and its unit; of reads and searches it is the p50."""
_WALKS = 20


class Point(msgspec.Struct):
    """One size. What could not be measured is absent, and ``remarks`` says why."""

    records: int
    values: dict[str, float] = {}
    remarks: list[str] = []
    wrong: list[str] = []


class Growth(msgspec.Struct):
    """All sizes of one run, the smallest first."""

    points: list[Point] = []


def grow(folder: Path, sizes: Sequence[int], seconds: float, say: Callable[[str], None]) -> Growth:
    """Fill one store up to each size, and measure there."""
    growth, stored = Growth(), 0
    records = Records(stamps_in_order(sizes[-1], time.time()), words=planted(sizes[0]), rare=True)
    for size in sizes:
        say(f"{size:,} records: storing")
        point = Point(size)
        with log_server(folder) as server:
            target = Own(server.host, server.credentials)
            row = store("store", server, target, records, size - stored, plan.SETTLE_SECONDS_MAX, say)
        stored = size
        _put(point, MEMORY, row.rss_mib_max)
        _put(point, DISK, stopped_bytes(server) / size)
        _put(point, CPU, row.settled_cpu_seconds_per_million)
        point.remarks += [row.note] if row.note else []
        say(f"{size:,} records: reading")
        with log_server(folder) as server:
            ready, _ = start_facts(server)
            _put(point, READY, ready.value)
            _measure_reads(point, server, seconds)
        growth.points.append(point)
    return growth


def as_text(growth: Growth) -> str:
    """A line for each quantity, a column for each size, and how much the last is of the first."""
    points = growth.points
    lines = [["", *(f"{point.records:,}" for point in points), "last / first"]]
    for name, unit in UNITS.items():
        values = [point.values.get(name) for point in points]
        first, last = values[0], values[-1]
        ratio = f"{last / first:.2f}" if first and last else ""
        lines.append([f"{name}, {unit}", *("" if value is None else f"{value:,.2f}" for value in values), ratio])
    remarks = [f"{point.records:,} records: {remark}" for point in points for remark in (*point.remarks, *point.wrong)]
    return "\n\n".join(filter(None, (aligned(lines), "\n".join(remarks))))


def main() -> int:
    """Measure, or read what was measured; gives the exit code."""
    arguments = _arguments()
    return run_in(arguments.folder, lambda folder: _run(arguments, folder))


def _measure_reads(point: Point, server: Server, seconds: float) -> None:
    target, asked = Own(server.host, server.credentials), {**newest(point.records), **questions(point.records)}
    for name in (*READS, *SEARCHES):
        if name == PAGE_10:
            with Conversation(server.address) as conversation:
                walks = [walk(conversation, target, service, 10) for service in SERVICE_NAMES[:_WALKS]]
            tenth = [each[9] for each in walks if len(each) == 10]
            _put(point, PAGE_10, median(tenth) / 1e6 if tenth else None)
            continue
        asks, expected = asked[name]
        row = read_row(name, server, target, asks, expected, seconds)
        _put(point, name, row.p50_ms)
        point.remarks += [f"{name}: {text}" for text in (row.skipped, row.note) if text]
        point.wrong += [f"{name}: WRONG: {row.wrong}"] if row.wrong else []


def _put(point: Point, name: str, value: float | None) -> None:
    if value is not None:
        point.values[name] = value


def _run(arguments: argparse.Namespace, folder: Path) -> int:
    if arguments.read is not None:
        growth = msgspec.json.decode(arguments.read.read_bytes(), type=Growth)
    else:
        growth = grow(folder, arguments.records, arguments.seconds, progress)
    print(as_text(growth))
    if arguments.json is not None:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(growth)) + b"\n")
    if arguments.chart is not None:
        # Only who draws needs matplotlib.
        from bench.growth_chart import draw  # noqa: PLC0415

        draw(growth, arguments.chart)
    wrong = [each for point in growth.points for each in point.wrong]
    return fail("\n".join(wrong)) if wrong else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.growth", description="Measure the service as its store grows."
    )
    parser.add_argument(
        "--records",
        type=_sizes,
        default=SIZES,
        metavar="N,N,…",
        help=f"sizes, rising (default: {','.join(map(str, SIZES))})",
    )
    parser.add_argument(
        "--seconds", type=positive_seconds, default=SECONDS, help="load for each row (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured there, too")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw it there as SVG (or PNG)")
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing: take what --json wrote")
    parser.add_argument("--folder", type=Path, default=FOLDER, metavar="DIR", help="on the disk to measure")
    return parser.parse_args()


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(map(records_at_least, text.split(",")))
    if list(sizes) != sorted(set(sizes)):
        raise argparse.ArgumentTypeError("must rise")
    return sizes


if __name__ == "__main__":
    sys.exit(main())
