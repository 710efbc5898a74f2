"""``python -m bench``: measure, print the table, and leave nothing behind, also where Ctrl-C ends it."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import msgspec

from bench.load import LoadFailed
from bench.processes import NotServing
from bench.report import as_text
from bench.rows import measure

_FOLDER = Path(__file__).parent.parent / "build"
"""On the disk of the checkout, and ignored by git."""
_QUICK_SECONDS = 0.06
_SECONDS_MAX = 20.0
"""The requests are in memory before they are sent, some 120 MB for each second."""


def main() -> int:
    """Run the benchmark; gives the exit code."""
    arguments = _arguments()
    if not sys.platform.startswith("linux"):
        return _fail("The benchmark needs Linux: it uses epoll and /proc.")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    arguments.folder.mkdir(exist_ok=True)
    folder = Path(mkdtemp(prefix="bench-", dir=arguments.folder))
    try:
        report = measure(folder, arguments.seconds, _progress)
    except KeyboardInterrupt:
        return 130
    except (LoadFailed, NotServing) as error:
        return _fail(str(error))
    finally:
        rmtree(folder)
    print(as_text(report))
    if arguments.json is not None:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure this machine and the service on it.")
    parser.add_argument(
        "--seconds", type=_seconds, default=3.0, help="load for each row, on a machine that keeps up (default: 3)"
    )
    parser.add_argument(
        "--quick", dest="seconds", action="store_const", const=_QUICK_SECONDS, help="only see whether it works"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there, too")
    parser.add_argument(
        "--folder", type=Path, default=_FOLDER, metavar="DIR", help="a folder on the disk to measure (default: build)"
    )
    return parser.parse_args()


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= _SECONDS_MAX:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most {_SECONDS_MAX:.0f}")
    return seconds


def _progress(what: str) -> None:
    sys.stderr.write(f"measuring: {what}\n")


def _fail(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
