"""``openapi.yaml`` as a witness: whatever a documented route answers has to be documented, header by header."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import requests
import schemathesis
from schemathesis.core.transport import Response
from schemathesis.specs.openapi import checks

from support.raw_http import Answer
from support.signing import Request

PATH = Path(__file__).parents[2] / "openapi.yaml"

CONFORMANCE = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@cache
def document() -> Any:
    """The document, as schemathesis reads it."""
    return schemathesis.openapi.from_path(PATH)


def assert_documented(request: Request, answer: Answer) -> None:
    """Status, content type, headers and body of the answer are in the document, if the request's route is."""
    operation = _operation(request.method, request.path)
    if operation is None:
        return
    sent = requests.Request(request.method, f"http://any{request.path}").prepare()
    headers = {name: [value] for name, value in answer.headers.items()}
    response = Response(answer.status, headers, answer.body, sent, 0.0, verify=True)
    parameters = {"service_name": "any"} if "{" in operation.path else {}
    operation.Case(path_parameters=parameters).validate_response(response, checks=CONFORMANCE)


@cache
def _operation(method: str, path: str) -> Any:
    for template in document():
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
            operations = document()[template]
            return operations[method] if method.lower() in list(operations) else None
    return None
