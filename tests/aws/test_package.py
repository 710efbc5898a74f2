"""The functions' package holds what they need and nothing else, is small, and is the same whoever builds it."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts import build_lambda

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
NOT_FOR_LAMBDA = ("simple_log_service/server", "simple_log_service/client", "simple_log_service/cli", "apsw", "uvloop")
VERSIONS = re.compile(rb"\0(GLIBC|GLIBCXX|CXXABI)_([0-9]+(?:\.[0-9]+)+)(?=\0)")
AMAZON_LINUX_2 = {b"GLIBC": (2, 26), b"GLIBCXX": (3, 4, 24), b"CXXABI": (1, 3, 11)}
"""What glibc 2.26 and the libstdc++ of GCC 7.3 define."""
MAKE_CLIENTS = """
import sys
import botocore.session
for name in sys.argv[1:]:
    print(botocore.session.Session().create_client(name, region_name="eu-central-1").meta.endpoint_url)
"""


@pytest.mark.parametrize("architecture", sorted(build_lambda.PLATFORMS))
def test_a_package_is_the_same_each_time_and_within_its_bound(architecture: str, tmp_path: Path) -> None:
    first = build_lambda.build(architecture, PYTHON, tmp_path / "first")
    second = build_lambda.build(architecture, PYTHON, tmp_path / "second")

    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size <= build_lambda.ZIP_BYTES_MAX


def test_a_package_holds_no_part_of_another_home_and_nothing_that_only_developers_need(tmp_path: Path) -> None:
    names = _names(build_lambda.build("arm64", PYTHON, tmp_path))

    assert {"simple_log_service/aws/ingest.py", "simple_log_service/aws/stream/consume.py"} <= set(names)
    assert f"simple_log_service/aws/__pycache__/ingest.{sys.implementation.cache_tag}.pyc" in names
    assert any(name.startswith("zstandard/backend_c.") and "aarch64" in name for name in names)
    assert not [name for name in names if name.startswith(NOT_FOR_LAMBDA)]
    assert not [name for name in names if name.endswith((".pyi", ".c", ".h", "/RECORD", "/METADATA"))]
    assert sum("LICENSE" in name for name in names) >= 2


@pytest.mark.parametrize("architecture", sorted(build_lambda.PLATFORMS))
def test_no_library_of_a_package_needs_more_than_amazon_linux_2_has(architecture: str, tmp_path: Path) -> None:
    archive = build_lambda.build(architecture, PYTHON, tmp_path)
    libraries = list(archive.with_suffix("").rglob("*.so*"))
    asked_for = {match for library in libraries for match in VERSIONS.findall(library.read_bytes())}

    assert {name for name, _ in asked_for} >= {b"GLIBC", b"GLIBCXX"}
    for name, version in asked_for:
        assert tuple(map(int, version.split(b"."))) <= AMAZON_LINUX_2[name]


def test_what_is_inside_has_one_time_and_may_be_read_by_everybody(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_lambda.build("arm64", PYTHON, tmp_path)) as zipped:
        entries = zipped.infolist()

    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)


def test_botocore_may_be_packed_with_the_services_that_the_functions_call(tmp_path: Path) -> None:
    archive = build_lambda.build("arm64", PYTHON, tmp_path, with_botocore=True)

    names = _names(archive)
    services = {name.split("/")[2] for name in names if name.startswith("botocore/data/") and name.count("/") > 2}
    assert services == {"dynamodb", "firehose", "sqs"}
    made = subprocess.run(
        [sys.executable, "-S", "-c", MAKE_CLIENTS, *sorted(services)],
        env={"PYTHONPATH": str(archive.with_suffix("")), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.split() == [f"https://{name}.eu-central-1.amazonaws.com" for name in sorted(services)]


def test_a_package_without_a_pinned_requirement_is_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/lambda.txt").write_text("msgspec==0.22.0\n")
    monkeypatch.setattr(build_lambda, "ROOT", tmp_path)

    assert build_lambda.main(["--output", str(tmp_path / "build")]) == 1
    assert "--require-hashes" in capfd.readouterr().err


def _names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as zipped:
        return zipped.namelist()
