"""The document's own fuzzer: requests made up from ``openapi.yaml``, good and bad ones, signed and sent.

Whatever it makes up, the answer is one that the document knows, and never a 5xx; what the document does not allow is
refused. It makes up the same requests each time.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
import yaml
import zstandard
from hypothesis import settings
from hypothesis import strategies as st
from requests.auth import AuthBase
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import negative_data_rejection

from contract import http_document
from contract.http_home import Home, running_home
from simple_log_service.api.signer import Credentials, sign_headers

pytestmark = pytest.mark.xdist_group("schemathesis")

EXAMPLES_MAX = 60
"""For each operation, beside those that cover each keyword of the document once."""

# Every request is signed at last, so none is made up with a signature missing or wrong.
SCHEMA = schemathesis.openapi.from_dict({**yaml.safe_load(http_document.PATH.read_text()), "security": []})
SCHEMA.config.checks.negative_data_rejection.expected_statuses.append("413")

RECORDS = st.fixed_dictionaries(
    {"service_name": st.sampled_from(["a", "ü ü", ""]), "log_type": st.just("a"), "message": st.text(max_size=9)},
    optional={"level": st.sampled_from(["info", "x"]), "log_id": st.text(max_size=2)},
)
LINES = st.lists(st.one_of(st.text(max_size=20), RECORDS.map(json.dumps)), max_size=5)

schemathesis.openapi.media_type("application/x-ndjson", LINES.map(lambda lines: "\n".join(lines).encode()))
PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.compress}
NUMBERS = count()


@schemathesis.serializer("application/x-ndjson")
def as_it_is(_: schemathesis.SerializationContext, value: object) -> bytes:
    """Lines are made up as bytes; what is made up against the rules may be anything."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


class PackedAndSigned(AuthBase):
    """The last step before sending: the body is packed as its header says, then all of it is signed."""

    def __init__(self, credentials: Credentials, region: str) -> None:
        self._credentials = credentials
        self._region = region

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        assert request.url is not None
        assert request.method is not None
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        packer = PACKERS.get(str(request.headers.get("Content-Encoding")))
        if packer is not None:
            body = packer(body)
            request.prepare_body(body, None)
        url = urlsplit(request.url)
        digest = hashlib.sha256(body).hexdigest()
        given = [("Host", url.netloc)]
        request.headers.update(
            sign_headers(
                request.method, url.path, url.query, given, digest, self._credentials, self._region, time.time()
            )
        )
        return request


def with_sense(case: schemathesis.Case[Any]) -> schemathesis.Case[Any]:
    """What no schema can say: a key is for one request, hours and since exclude each other, cursors are not made up."""
    if case.headers.get("Idempotency-Key"):
        case.headers["Idempotency-Key"] = f"{next(NUMBERS)} {case.headers['Idempotency-Key']}"
    if case.meta is not None and case.meta.generation.mode == schemathesis.GenerationMode.POSITIVE:
        case.query.pop("cursor", None)
        if "since" in case.query:
            case.query.pop("hours", None)
    return case


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with running_home() as running:
        yield running


@SCHEMA.parametrize()
@settings(max_examples=EXAMPLES_MAX)
def test_whatever_is_asked_the_answer_is_documented(case: schemathesis.Case[Any], home: Home) -> None:
    with_sense(case).call_and_validate(
        base_url=home.server.endpoint,
        auth=PackedAndSigned(home.server.credentials, home.region),
        checks=[not_a_server_error, negative_data_rejection, *http_document.CONFORMANCE],
    )
