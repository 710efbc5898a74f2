"""Which code the functions get."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from support.synthesized import ROOT

PROGRAM = """
import sys
from pathlib import Path
from infra import __main__ as program, node
node.prefer_own_node()
from infra import package
package.ROOT = Path(sys.argv.pop(1))
program.main()
"""


def synthesize_in(root: Path) -> tuple[str, str]:
    """Synthesize as if the project were in this folder; what the CDK wrote of the stack, and what people are told."""
    (root / "src").mkdir()
    (root / "src" / "module.py").touch()
    output = root / "out"
    command = [sys.executable, "-c", PROGRAM, str(root), "-c", "env=dev", "-o", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return "".join(file.read_text() for file in output.glob("*.json") if "template" not in file.name), done.stderr


def test_without_a_package_the_templates_can_be_looked_at_and_say_that_they_cannot_be_deployed(tmp_path: Path) -> None:
    said, told = synthesize_in(tmp_path)
    template = tmp_path / "out" / "simple-log-service-dev.template.json"
    resources = len(json.loads(template.read_text())["Resources"])
    assert told.splitlines() == [
        f"{os.path.relpath(template, ROOT)}: {resources} resources",
        "No package is built, so this cannot be deployed: first `make package`.",
    ]
    assert "Not deployable: the code is the bare source folder. Run `make package`." in said
    assert list((tmp_path / "out").glob("asset.*/module.py"))


def test_a_built_package_is_taken_byte_for_byte(tmp_path: Path) -> None:
    built = tmp_path / "build" / "lambda-arm64.zip"
    built.parent.mkdir()
    with zipfile.ZipFile(built, "w") as archive:
        archive.writestr("module.py", "")
        archive.writestr("__pycache__/module.cpython-311.pyc", "")
    said, told = synthesize_in(tmp_path)
    assert "make package" not in told
    assert "Not deployable" not in said
    (asset,) = (tmp_path / "out").glob("asset.*")
    assert asset.read_bytes() == built.read_bytes()
