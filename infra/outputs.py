"""What a deployment answered with, as settings of the client and the command line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from simple_log_service.client.configuration import ENDPOINT_VARIABLE

REGION_VARIABLE = "AWS_REGION"


def stack_outputs(outputs_file: Path, stack_name: str) -> dict[str, str]:
    """The outputs of one stack from the file that the CDK writes; ``KeyError`` where it names no such stack."""
    return dict(json.loads(outputs_file.read_text())[stack_name])


def client_settings(outputs: Mapping[str, str]) -> dict[str, str]:
    """The environment variables with which a client finds the service. Credentials are the caller's own."""
    return {ENDPOINT_VARIABLE: outputs["Endpoint"], REGION_VARIABLE: outputs["Region"]}


def write_client_settings(outputs: Mapping[str, str], file: Path) -> str:
    """Write the variables for a shell to source; returns what to type."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in client_settings(outputs).items()]
    file.write_text("\n".join(lines) + "\n")
    return f". {shlex.quote(str(file))}"
