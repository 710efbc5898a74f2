"""The functions under AWS's own runtime client, as they are packed, over a real DynamoDB engine.

They run with 256 MB of memory and the share of a processor that goes with it, where this machine can hold them to it:
``test_control_groups`` says whether.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from scripts import build_lambda
from simple_log_service.core.limits import BODY_UNPACKED_BYTES_MAX, BODY_WIRE_BYTES_MAX, MIB
from support.dynalite import create_table
from support.proxy_events import REQUEST_ID, asked, posted, proxy_event, response_of
from support.runtime_api import (
    MEMORY_MB,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
    Container,
    FunctionFailed,
    container,
    runtime_folder,
)

INGEST = "simple_log_service.aws.ingest.handler"
READ = "simple_log_service.aws.read.handler"
RECORD = {"service_name": "shop", "log_type": "application", "message": "hello"}
SET_UP_BY_IMPORT = frozenset(f"simple_log_service/aws/{name}.py" for name in ("ingest", "read", "stream/consume"))
"""The functions themselves, which need their environment."""
NEVER_IMPORTED = frozenset(
    (
        "apsw",
        "boto3",
        "click",
        "cryptography",
        "httptools",
        "prometheus_client",
        "pydantic",
        "rich",
        "structlog",
        "tenacity",
        "uvloop",
    )
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's folder, for this machine's processor and this Python."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return build_lambda.build("x86_64", python, tmp_path_factory.mktemp("package")).with_suffix("")


@pytest.fixture(scope="module")
def environ(dynamodb_url: str) -> dict[str, str]:
    """A function's own variables, with a table that is new."""
    table_name = f"runtime-{uuid4().hex}"
    create_table(dynamodb_url, table_name)
    return {
        "SIMPLE_LOG_SERVICE_TABLE_NAME": table_name,
        "SIMPLE_LOG_SERVICE_INDEX_NAME": "TimestampIndex",
        "SIMPLE_LOG_SERVICE_DYNAMODB_ENDPOINT_URL": dynamodb_url,
    }


@contextmanager
def started(handler: str, package: Path, environ: Mapping[str, str], **how: Any) -> Iterator[Container]:
    """A container that is set up."""
    with container(handler, package, environ, **how) as function:
        function.wait_until_ready()
        yield function


@pytest.fixture(scope="module")
def functions(package: Path, environ: dict[str, str]) -> Iterator[tuple[Container, Container]]:
    """Both functions, held to their memory and share of a processor."""
    with ExitStack() as stack:
        ingest = stack.enter_context(container(INGEST, package, environ))
        read = stack.enter_context(container(READ, package, environ))
        for function in (ingest, read):
            function.wait_until_ready()
        yield ingest, read


def test_what_one_function_takes_in_the_other_reads(functions: tuple[Container, Container]) -> None:
    ingest, read = functions
    service = f"shop-{uuid4().hex}"

    receipt = response_of(ingest.invoke(posted({**RECORD, "service_name": service})))
    page = response_of(read.invoke(asked(service_name=service)))

    assert receipt.status == 201, receipt
    assert [log["log_id"] for log in json.loads(page.body)["logs"]] == [json.loads(receipt.body)["log_id"]]


def test_a_thousand_records_come_back_as_they_were_sent(functions: tuple[Container, Container]) -> None:
    ingest, read = functions
    service = f"shop-{uuid4().hex}"
    records = [{**RECORD, "service_name": service, "message": f"{place} \0 é 语 𐍈"} for place in range(1000)]

    receipt = response_of(ingest.invoke(posted(records)))
    page = response_of(read.invoke(asked(service_name=service, limit="1000")))

    assert json.loads(receipt.body)["accepted"] == 1000
    assert [log["message"] for log in json.loads(page.body)["logs"]] == [each["message"] for each in records[::-1]]


def test_the_largest_body_fits_into_a_functions_memory(functions: tuple[Container, Container]) -> None:
    ingest, _ = functions
    message = "x" * (200 * 1024)
    records = [{**RECORD, "message": message} for _ in range(BODY_WIRE_BYTES_MAX // (len(message) + 200))]

    for _ in range(3):
        receipt = response_of(ingest.invoke(posted(records)))
        assert json.loads(receipt.body)["accepted"] == len(records)

    assert ingest.memory_bytes_max < MEMORY_MB * MIB


@pytest.mark.parametrize(
    ("content_type", "unpacked", "status"),
    [
        ("application/json", json.dumps([RECORD | {"metadata": dict.fromkeys(map(str, range(330)), 7)}] * 9_999), 201),
        ("application/x-ndjson", "{}\n" * (BODY_UNPACKED_BYTES_MAX // 3), 400),
        ("application/json", "[" + "[]," * (BODY_UNPACKED_BYTES_MAX // 3 - 1) + "0]", 400),
    ],
    ids=["records of metadata", "lines", "elements"],
)
def test_what_a_packed_body_unpacks_to_fits_into_a_functions_memory(
    functions: tuple[Container, Container], content_type: str, unpacked: str, status: int
) -> None:
    ingest, _ = functions
    packed = gzip.compress(unpacked.encode(), 1)
    assert len(unpacked) > BODY_UNPACKED_BYTES_MAX * 0.9
    headers = {"Content-Type": [content_type], "Content-Encoding": ["gzip"]}

    answer = response_of(ingest.invoke(proxy_event("POST", "/logs", body=packed, headers=headers)))

    assert answer.status == status
    assert ingest.memory_bytes_max < MEMORY_MB * MIB


def test_a_body_over_the_bound_is_refused(functions: tuple[Container, Container]) -> None:
    ingest, _ = functions

    answer = response_of(ingest.invoke(proxy_event("POST", "/logs", body=b" " * (BODY_WIRE_BYTES_MAX + 1))))

    assert (answer.status, answer.error_type) == (413, "RequestTooLargeException")


def test_an_event_that_is_none_is_answered_all_the_same(functions: tuple[Container, Container]) -> None:
    ingest, read = functions

    for function in (ingest, read):
        assert response_of(function.invoke({"Records": [{"eventSource": "aws:sqs"}]})).status == 400


def test_the_log_holds_one_json_object_a_line_with_metrics_in_it(functions: tuple[Container, Container]) -> None:
    ingest, _ = functions
    request_id = str(uuid4())

    ingest.invoke(posted(RECORD), request_id)

    told = [line for line in ingest.documents if line.get("lambda_request_id") == request_id]
    assert [line["request_id"] for line in told] == [REQUEST_ID]
    assert told[0]["status"] == "201"
    assert told[0]["slog_records_accepted_total"] == 1
    assert 0 < told[0]["remaining_ms"] <= 30_000
    assert len(ingest.documents) == len(ingest.lines)


def test_two_containers_of_one_function_share_a_table(package: Path, environ: dict[str, str]) -> None:
    service = f"shop-{uuid4().hex}"
    event = posted([{**RECORD, "service_name": service}] * 3, headers={"Idempotency-Key": [uuid4().hex]})
    with (
        started(INGEST, package, environ, limited=False) as one,
        started(INGEST, package, environ, limited=False) as two,
        started(READ, package, environ, limited=False) as read,
        ThreadPoolExecutor(2) as callers,
    ):
        receipts = list(callers.map(lambda function: response_of(function.invoke(event)), (one, two)))
        page = response_of(read.invoke(asked(service_name=service)))

    assert {receipt.status for receipt in receipts} == {201}
    assert len({tuple(map(str, json.loads(receipt.body)["log_ids"])) for receipt in receipts}) == 1
    assert json.loads(page.body)["count"] == 3


def test_a_table_that_does_not_answer_is_503_with_one_error_line(package: Path, environ: dict[str, str]) -> None:
    nowhere = {**environ, "SIMPLE_LOG_SERVICE_DYNAMODB_ENDPOINT_URL": "http://127.0.0.1:1"}
    with started(INGEST, package, nowhere, limited=False) as function:
        answer = response_of(function.invoke(posted(RECORD)))

        assert answer.status == 503
        assert ("Access-Control-Allow-Origin", "*") in answer.headers
        assert [line["level"] for line in function.documents if "level" in line] == ["ERROR"]
        log = "\n".join(function.lines)
        assert SECRET_ACCESS_KEY not in log
        assert SESSION_TOKEN not in log


def test_a_function_without_its_settings_says_which(package: Path, environ: dict[str, str]) -> None:
    without = {key: value for key, value in environ.items() if key != "SIMPLE_LOG_SERVICE_TABLE_NAME"}
    with container(INGEST, package, without, limited=False) as function, pytest.raises(FunctionFailed) as failed:
        function.wait_until_ready()

    assert "SIMPLE_LOG_SERVICE_TABLE_NAME is not set." in str(failed.value)


def test_everything_in_the_package_finds_what_it_imports(package: Path) -> None:
    modules = [
        ".".join(file.relative_to(package).with_suffix("").parts)
        for file in sorted((package / "simple_log_service").rglob("*.py"))
        if file.relative_to(package).as_posix() not in SET_UP_BY_IMPORT
    ]
    import_all = "import importlib, sys; list(map(importlib.import_module, sys.argv[1:]))"
    with runtime_folder() as runtime:
        subprocess.run(
            [sys.executable, "-S", "-c", import_all, *modules],
            env={"PYTHONPATH": f"{package}:{runtime}", "PYTHONDONTWRITEBYTECODE": "1"},
            check=True,
        )


@pytest.mark.parametrize("handler", [INGEST, READ])
def test_a_function_imports_nothing_of_the_embedded_home(handler: str, package: Path, environ: dict[str, str]) -> None:
    with started(handler, package, environ, limited=False, options=("-X", "importtime")) as function:
        imported = {line.rpartition("|")[2].strip() for line in function.lines if line.startswith("import time:")}

    assert "simple_log_service.aws.home" in imported
    assert not NEVER_IMPORTED & {name.partition(".")[0] for name in imported}
    assert not [name for name in imported if name.startswith(("simple_log_service.server", "simple_log_service.cli"))]
