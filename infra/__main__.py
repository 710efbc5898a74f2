"""``python -m infra [-c KEY=VALUE ...] [-o DIRECTORY]``: synthesize, offline; the CDK's command line runs it, too."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from infra.node import prefer_own_node


def main() -> None:
    """Read the command line, and synthesize."""
    parser = argparse.ArgumentParser(prog="python -m infra", description="Synthesize the AWS home's templates.")
    parser.add_argument("-c", "--context", action="append", default=[], type=_pair, metavar="KEY=VALUE")
    parser.add_argument("-o", "--output", type=Path, metavar="DIRECTORY", help="where the templates go")
    options = parser.parse_args()
    prefer_own_node()
    # The CDK starts Node.js when it is imported.
    from infra.app import build, written  # noqa: PLC0415
    from infra.profiles import Refused  # noqa: PLC0415

    try:
        app = build(dict(options.context), options.output)
    except Refused as refused:
        sys.exit(str(refused))
    try:
        app.synth()
    except RuntimeError as error:
        if "ValidationFailed" not in str(error):
            raise
        # The stack trace would say nothing more than the findings.
        sys.exit("The templates are not as they should be:\n" + "\n".join(_findings(Path(app.outdir))))
    for line in written(app):
        print(line, file=sys.stderr)  # noqa: T201 - the command's own word, beside what it wrote


def _findings(output: Path) -> list[str]:
    """What the checks found, one construct a line."""
    report = json.loads((output / "validation-report.json").read_text())
    return [
        f"{construct['constructPath']}: {violation['ruleName']}: {violation['description']}"
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    ]


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not (key and separator):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


if __name__ == "__main__":
    main()
