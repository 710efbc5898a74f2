"""Build the Lambda functions' package: ``build/lambda-ARCHITECTURE/`` and the same as a zip file, byte for byte again.

It holds our own core, api, DynamoDB store and functions, and what ``requirements/lambda.txt`` pins, as wheels that run
on Lambda, where Python 3.11 is Amazon Linux 2, with glibc 2.26. botocore comes with Lambda's runtime, unless
``--with-botocore`` packs the pinned one, stripped to the services that the functions call.

Byte code goes along: the folder is read-only on Lambda, where a cold start would compile every module anew. Its marker
is a hash of the source, not its time, so that it is the same in every build.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "simple_log_service"
OUR_PARTS = ("__init__.py", "core", "api", "stores/__init__.py", "stores/packing.py", "stores/dynamodb", "aws")
"""Of the package: the rest belongs to the embedded home, the client and the command line."""

PLATFORMS = {
    "arm64": ("manylinux2014_aarch64", "manylinux_2_26_aarch64"),
    "x86_64": ("manylinux2014_x86_64", "manylinux_2_27_x86_64"),
}
"""pip's names of Lambda's architectures, the better fit first. google-re2's wheels for x86_64 name glibc 2.27, as they
were built against it, but ask for nothing newer than 2.17; a test looks."""

ZIP_BYTES_MAX = 8 * 1024 * 1024
"""Without botocore: a larger package has taken in something that it does not need, and starts more slowly."""

BOTOCORE = ("botocore", "jmespath", "python-dateutil", "six", "urllib3")
"""botocore and what it needs, as ``requirements/dev.txt`` pins them."""
BOTOCORE_SERVICES = frozenset({"dynamodb", "firehose", "sqs"})
"""The table, and where the stream's consumer sends to through botocore's clients."""
BOTOCORE_DATA = BOTOCORE_SERVICES | {
    "endpoints.json",
    "partitions.json",
    "sdk-default-configuration.json",
    "_retry.json",
}

_NEVER_USED = (
    "*.pyi",
    "*.c",
    "*.h",
    "*.pyx",
    "py.typed",
    "tests",
    "__pycache__",
    "zstandard/_cffi*",  # for interpreters other than CPython, and half of the whole
    "zstandard/backend_cffi.py",
)
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest that the format knows."""


class BuildFailed(Exception):
    """The package is not fit to be deployed; the text says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build as the command line says; gives the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        archive = build(asked.architecture, asked.python, asked.output, with_botocore=asked.with_botocore)
    except (BuildFailed, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    unpacked_bytes = sum(file.stat().st_size for file in _files(archive.with_suffix("")))
    print(f"{archive}: {archive.stat().st_size / 1e6:.2f} MB, unpacked {unpacked_bytes / 1e6:.2f} MB")
    return 0


def build(architecture: str, python: str, output: Path, *, with_botocore: bool = False) -> Path:
    """The zip file in ``output``, its folder beside it; raises ``BuildFailed``, or what pip's failing raises."""
    folder = output / f"lambda-{architecture}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _install(ROOT / "requirements/lambda.txt", folder, architecture, python)
    if with_botocore:
        _install_botocore(folder, architecture, python)
    _strip(folder)
    for part in OUR_PARTS:
        _copy(ROOT / "src" / PACKAGE / part, folder / PACKAGE / part)
    _compile(folder, python)
    archive = _zip(folder)
    if archive.stat().st_size > ZIP_BYTES_MAX and not with_botocore:
        raise BuildFailed(f"{archive} has {archive.stat().st_size} bytes; it should have at most {ZIP_BYTES_MAX}")
    return archive


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Build the package of the Lambda functions.")
    parser.add_argument("--architecture", choices=sorted(PLATFORMS), default="arm64", help="default: %(default)s")
    parser.add_argument("--python", default="3.11", metavar="VERSION", help="Lambda's (default: %(default)s)")
    parser.add_argument("--with-botocore", action="store_true", help="pack botocore instead of using the runtime's")
    parser.add_argument("--output", type=Path, default=ROOT / "build", metavar="DIR", help="default: build")
    return parser


def _install(requirements: Path, folder: Path, architecture: str, python: str) -> None:
    """Wheels only, each with a hash that the lock file knows, and nothing that it does not name."""
    options = ["--only-binary=:all:", "--require-hashes", "--no-deps", "--no-compile", "--quiet"]
    platforms = [part for platform in PLATFORMS[architecture] for part in ("--platform", platform)]
    target = [*platforms, "--python-version", python, "--implementation", "cp"]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *options, *target]
    subprocess.run([*command, "--target", folder, "--upgrade", "-r", requirements], check=True)


def _install_botocore(folder: Path, architecture: str, python: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.writelines(_pinned(ROOT / "requirements/dev.txt", BOTOCORE))
        requirements.flush()
        _install(Path(requirements.name), folder, architecture, python)
    for path in (folder / "botocore/data").iterdir():
        if path.name not in BOTOCORE_DATA:
            _remove(path)


def _pinned(lock_file: Path, names: Sequence[str]) -> Iterator[str]:
    """The lines of a lock file that pin these packages."""
    for block in re.split(r"(?m)^(?=\S)", lock_file.read_text()):
        if block.partition("==")[0] in names:
            yield block


def _strip(folder: Path) -> None:
    for pattern in _NEVER_USED:
        for path in list(folder.rglob(pattern)):
            _remove(path)
    for path in list(folder.glob("*.dist-info/*")):
        if not path.name.upper().startswith(("LICEN", "COPYING", "NOTICE")):
            _remove(path)
    shutil.rmtree(folder / "bin", ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _copy(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        ignore: Callable[[str, list[str]], set[str]] = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, destination, ignore=ignore)
    else:
        shutil.copyfile(source, destination)


def _compile(folder: Path, python: str) -> None:
    """Byte code of this interpreter, which has to be of Lambda's version."""
    if python != f"{sys.version_info.major}.{sys.version_info.minor}":
        sys.stderr.write(f"no byte code: run this with Python {python}, or cold starts take longer\n")
        return
    # In a process of its own: what else an interpreter has in memory shows in the byte code that it makes.
    how = ["-q", "--invalidation-mode", "unchecked-hash", "-s"]
    subprocess.run([sys.executable, "-I", "-m", "compileall", *how, folder, folder], check=True)


def _zip(folder: Path) -> Path:
    """Names in order, fixed times and modes: what is the same inside is the same file."""
    archive = folder.with_name(folder.name + ".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
        for file in _files(folder):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            zipped.writestr(entry, file.read_bytes())
    return archive


def _files(folder: Path) -> list[Path]:
    return sorted((path for path in folder.rglob("*") if path.is_file()), key=Path.as_posix)


if __name__ == "__main__":
    sys.exit(main())
