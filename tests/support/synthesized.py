"""The CDK app's templates of dev and prod, synthesized once for all tests by the program that deploys them, too.

What was synthesized is kept under ``build/``, by a hash of all that goes into it. A lock lets one of several test
processes do the work while the others wait.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENTS = ("dev", "prod")
TIMEOUT_SECONDS = 240
_KEPT = ROOT / "build" / "synthesized"
_SOURCES = ("infra/**/*.py", "src/simple_log_service/api/*.py", "src/simple_log_service/core/*.py", "requirements/dev.txt")


def template(env: str) -> dict[str, Any]:
    """The template of ``dev`` or ``prod``. It is the caller's own to change."""
    return dict(json.loads(_read(f"simple-log-service-{env}.template.json")))


def validation_report() -> dict[str, Any]:
    """What the checks at synthesis found, cdk-nag's among them."""
    return dict(json.loads(_read("validation-report.json")))


def stack_metadata(env: str) -> dict[str, Any]:
    """What the CDK says about each construct beside the template: acknowledgements and warnings."""
    return dict(json.loads(_read(f"simple-log-service-{env}.metadata.json")))


def synthesize(output: Path, *context: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m infra`` into a folder, with these ``key=value`` settings."""
    command = [sys.executable, "-m", "infra", "--output", str(output)]
    for pair in context:
        command += ["-c", pair]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )


@cache
def _read(name: str) -> str:
    return (_synthesized() / name).read_text()


@cache
def _synthesized() -> Path:
    kept = _KEPT / _digest()
    _KEPT.mkdir(parents=True, exist_ok=True)
    with (_KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_dir():
            _synthesize_into(kept)
    return kept


def _synthesize_into(kept: Path) -> None:
    fresh = kept.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    done = synthesize(fresh)
    assert done.returncode == 0, f"python -m infra failed:\n{done.stdout}\n{done.stderr}"
    for asset in fresh.glob("asset.*"):
        shutil.rmtree(asset) if asset.is_dir() else asset.unlink()
    fresh.rename(kept)


def _digest() -> str:
    digest = hashlib.sha256(str(sorted(path.name for path in (ROOT / "build").glob("lambda-*"))).encode())
    for path in sorted(path for pattern in _SOURCES for path in ROOT.glob(pattern)):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
