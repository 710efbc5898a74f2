"""``python -m bench``: measure, print the report, and leave nothing behind, also where Ctrl-C ends it."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from urllib.parse import urlsplit

import msgspec

from bench.load import LoadFailed
from bench.measure import Other, measure
from bench.plan import NAMES, SETTLE_SECONDS_MAX, Plan
from bench.processes import NotServing
from bench.report import as_markdown, as_text, placed
from bench.results import Report
from bench.targets import OTHERS

FOLDER = Path(__file__).parent.parent / "build"
"""On the disk of the checkout, and ignored by git."""
SECONDS, _QUICK_SECONDS = 3.0, 0.06
_QUICK_SETTLE_SECONDS_MAX = 0.5
_SECONDS_MAX = 20.0
"""The requests are in memory before they are sent, some 120 MB for each second."""
_RECORDS, _RECORDS_MIN = 3_000_000, 20_000
"""The fewest of which each service and type has more than a page."""


def main() -> int:
    """Run the benchmark; gives the exit code: 1 where it failed, or where an answer was wrong."""
    arguments = _arguments()
    return run_in(arguments.folder, lambda folder: _run(arguments, folder))


def run_in(parent: Path, run: Callable[[Path], int]) -> int:
    """Run it with a new folder below this one, which is gone afterwards; gives the exit code."""
    if not sys.platform.startswith("linux"):
        return fail("The benchmark needs Linux: it uses epoll and /proc.")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    parent.mkdir(exist_ok=True)
    folder = Path(mkdtemp(prefix="bench-", dir=parent))
    try:
        return run(folder)
    except KeyboardInterrupt:
        return 130
    except (LoadFailed, NotServing) as error:
        return fail(str(error))
    finally:
        rmtree(folder)


def progress(what: str) -> None:
    """Say on standard error what is being done."""
    sys.stderr.write(f"measuring: {what}\n")


def fail(reason: str) -> int:
    """Say why, and give the exit code."""
    sys.stderr.write(f"{reason}\n")
    return 1


def write_markdown(path: Path, text: str) -> None:
    """Put it between the marks of a document that has them, else make it the file."""
    document = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(placed(document, text) or text, encoding="utf-8")


def _run(arguments: argparse.Namespace, folder: Path) -> int:
    if arguments.read is not None:
        report = msgspec.json.decode(arguments.read.read_bytes(), type=Report)
    else:
        settle_seconds_max = _QUICK_SETTLE_SECONDS_MAX if arguments.quick else SETTLE_SECONDS_MAX
        asked = Plan(arguments.seconds, arguments.records, tuple(arguments.rows), settle_seconds_max)
        report = measure(folder, asked, arguments.target, progress)
    print(as_text(report))
    if arguments.json is not None:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    if arguments.markdown is not None:
        write_markdown(arguments.markdown, as_markdown(report))
    if arguments.chart is not None:
        # Only who draws needs matplotlib.
        from bench.chart import draw  # noqa: PLC0415

        draw(report, arguments.chart)
    return fail("\n".join(report.wrong)) if report.wrong else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure this machine and the service on it.")
    parser.add_argument(
        "--seconds",
        type=positive_seconds,
        default=SECONDS,
        help="load for each row, on a machine that keeps up (default: %(default)s)",
    )
    parser.add_argument(
        "--records",
        type=records_at_least,
        default=_RECORDS,
        help="how many are stored for reads and searches (default: %(default)s)",
    )
    parser.add_argument("--quick", action="store_true", help="only see whether it works: little load, few records")
    parser.add_argument(
        "--rows",
        action="append",
        default=[],
        metavar="TEXT",
        help="only rows whose name holds this text; may be given several times",
    )
    parser.add_argument("--list", action="store_true", help="say which rows there are, and measure nothing")
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        type=_target,
        metavar="NAME=URL[,pid=N][,data=DIR]",
        help=f"measure this server, too; NAME is one of {', '.join(OTHERS)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there, too")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write the comparison there as Markdown, between its marks where it has them",
    )
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw the comparison there as SVG (or PNG)")
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing: take the report that --json wrote")
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, metavar="DIR", help="a folder on the disk to measure (default: build)"
    )
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(NAMES))
        parser.exit()
    if arguments.rows and not Plan(1, 1, tuple(arguments.rows)).wants(*NAMES):
        parser.error(f"--rows: no row's name holds {' or '.join(arguments.rows)}; --list names them")
    if arguments.quick:
        arguments.seconds, arguments.records = _QUICK_SECONDS, _RECORDS_MIN
    return arguments


def positive_seconds(text: str) -> float:
    """An option's value, bounded."""
    seconds = float(text)
    if not 0 < seconds <= _SECONDS_MAX:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most {_SECONDS_MAX:.0f}")
    return seconds


def records_at_least(text: str) -> int:
    """An option's value: enough records for every question."""
    records = int(text.replace("_", ""))
    if records < _RECORDS_MIN:
        raise argparse.ArgumentTypeError(f"must be at least {_RECORDS_MIN}")
    return records


def _target(text: str) -> Other:
    where, *told = text.split(",")
    name, _, url = where.partition("=")
    parts = urlsplit(url)
    given = dict(each.split("=", 1) for each in told if "=" in each)
    if name not in OTHERS or parts.scheme != "http" or not parts.hostname or set(given) - {"pid", "data"}:
        raise argparse.ArgumentTypeError(f"must be NAME=http://HOST:PORT, NAME one of {', '.join(OTHERS)}")
    pid, data_dir = given.get("pid"), given.get("data")
    host = f"{parts.hostname}:{parts.port or 80}"
    return Other(name, host, None if pid is None else int(pid), None if data_dir is None else Path(data_dir))


if __name__ == "__main__":
    sys.exit(main())
