"""``openapi.yaml`` against the code's data, and each of its examples against the running server.

Numbers and names of the document are compared with those that the code lives by. Every example of a request is asked
and accepted; every example of an answer is provoked and has to come as it is written, but for ids and moments.
"""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from contract import http_document
from contract.http_caller import NDJSON, Caller, said, wire
from contract.http_home import Home, fresh_name, running_home
from simple_log_service import __version__
from simple_log_service.api.errors import error_response
from simple_log_service.api.parameters import RECENT
from simple_log_service.api.routes import ROUTES, find_route
from simple_log_service.api.signer import Credentials
from simple_log_service.api.stats import STATS
from simple_log_service.core import errors, levels, limits, receipts, record, validation
from simple_log_service.core.stats import GROUPINGS
from support.raw_http import Answer, connected
from support.signing import edited

pytestmark = pytest.mark.xdist_group("openapi")

DOCUMENT: dict[str, Any] = yaml.safe_load(http_document.PATH.read_text())
COMPONENTS = DOCUMENT["components"]
SCHEMAS = COMPONENTS["schemas"]
PARAMETERS = COMPONENTS["parameters"]
METHODS = ("get", "post", "options")


def test_the_document_is_one_that_tools_can_read() -> None:
    http_document.document().validate()


def test_its_version_is_the_packages() -> None:
    assert DOCUMENT["info"]["version"] == __version__


def test_its_routes_are_the_routes() -> None:
    documented = {
        (operation["operationId"], method.upper(), path, operation.get("security") != [])
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if method in METHODS and method != "options"
    }
    assert documented == {tuple(route) for route in ROUTES}
    assert all("options" in item for item in DOCUMENT["paths"].values())


def test_its_bounds_are_the_bounds() -> None:
    bounds = DOCUMENT["x-bounds"]
    assert bounds == {name: getattr(limits, name.upper()) for name in bounds}


@pytest.mark.parametrize(
    ("place", "bound"),
    [
        (SCHEMAS["ServiceName"]["maxLength"], limits.SERVICE_NAME_CHARS_MAX),
        (SCHEMAS["LogType"]["maxLength"], limits.LOG_TYPE_CHARS_MAX),
        (SCHEMAS["NewRecord"]["properties"]["log_id"]["maxLength"], limits.LOG_ID_CHARS_MAX),
        (SCHEMAS["Record"]["properties"]["log_id"]["maxLength"], limits.LOG_ID_CHARS_MAX),
        (SCHEMAS["ShortReceipt"]["properties"]["log_id"]["maxLength"], limits.LOG_ID_CHARS_MAX),
        (SCHEMAS["Receipt"]["properties"]["accepted"]["maximum"], limits.REQUEST_RECORDS_MAX),
        (SCHEMAS["Receipt"]["properties"]["duplicates"]["maximum"], limits.REQUEST_RECORDS_MAX),
        (SCHEMAS["Rejection"]["properties"]["index"]["maximum"], limits.REQUEST_RECORDS_MAX - 1),
        (SCHEMAS["LogIdRun"]["properties"]["index"]["maximum"], limits.REQUEST_RECORDS_MAX - 1),
        (SCHEMAS["LogIdRun"]["properties"]["count"]["maximum"], limits.REQUEST_RECORDS_MAX),
        (SCHEMAS["Page"]["properties"]["count"]["maximum"], limits.PAGE_RECORDS_MAX),
        (SCHEMAS["Page"]["properties"]["logs"]["maxItems"], limits.PAGE_RECORDS_MAX),
        (PARAMETERS["IdempotencyKey"]["schema"]["maxLength"], limits.IDEMPOTENCY_KEY_CHARS_MAX),
        (PARAMETERS["Hours"]["schema"]["maximum"], limits.READ_HOURS_MAX),
        (PARAMETERS["Hours"]["schema"]["default"], limits.READ_HOURS_DEFAULT),
        (PARAMETERS["Limit"]["schema"]["maximum"], limits.PAGE_RECORDS_MAX),
        (PARAMETERS["Limit"]["schema"]["default"], limits.PAGE_RECORDS_DEFAULT),
        (tuple(PARAMETERS["By"]["schema"]["enum"]), GROUPINGS),
        (PARAMETERS["Cursor"]["schema"]["maxLength"], limits.CURSOR_CHARS_MAX),
        (PARAMETERS["Words"]["schema"]["maxLength"], limits.SEARCH_CHARS_MAX),
        (PARAMETERS["Pattern"]["schema"]["maxLength"], limits.PATTERN_CHARS_MAX),
        (PARAMETERS["Field"]["schema"]["maxLength"], limits.FIELD_VALUE_CHARS_MAX),
    ],
)
def test_a_bound_in_a_schema_is_the_bound(place: int, bound: int) -> None:
    assert place == bound


def test_a_service_of_the_path_is_as_long_as_its_bound() -> None:
    pattern = PARAMETERS["ServiceOfPath"]["schema"]["pattern"]
    for length in (1, limits.PATH_SERVICE_NAME_CHARS_MAX, limits.PATH_SERVICE_NAME_CHARS_MAX + 1):
        found = find_route("GET", f"/services/{'a' * length}/logs")
        assert (re.search(pattern, "a" * length) is None) == (found is None)


def test_every_batch_in_a_schema_has_the_same_bound() -> None:
    batches = [found for found in walk(COMPONENTS["requestBodies"]) if found.get("type") == "array"]
    assert len(batches) == 4
    assert {(batch["minItems"], batch["maxItems"]) for batch in batches} == {(1, limits.REQUEST_RECORDS_MAX)}


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """Every object in a part of the document."""
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(inner)


def test_its_rejection_codes_are_the_codes() -> None:
    codes = {
        getattr(module, name)
        for module in (validation, receipts)
        for name, kind in module.__annotations__.items()
        if "Final" in str(kind)
    }
    assert set(SCHEMAS["Rejection"]["properties"]["code"]["enum"]) == codes
    described = SCHEMAS["Rejection"]["properties"]["code"]["description"]
    assert set(re.findall(r"- `(\w+)`:", described)) == codes


def test_its_fields_and_levels_are_the_records() -> None:
    assert set(SCHEMAS["NewRecord"]["properties"]) == validation.FIELDS
    fields = set(json.loads(record.encode_record(a_record())))
    assert set(SCHEMAS["Record"]["properties"]) == set(SCHEMAS["Record"]["required"]) == fields == validation.FIELDS
    assert tuple(SCHEMAS["Level"]["enum"]) == levels.LEVELS
    assert SCHEMAS["NewRecord"]["properties"]["level"]["default"] == levels.LEVEL_DEFAULT


def a_record() -> record.Record:
    return record.Record(record.Kind("a", "b", "INFO"), 0, 0, "", b"{}", "id")


def test_its_level_names_are_the_levels_and_their_aliases() -> None:
    pattern = SCHEMAS["LevelName"]["pattern"]
    names = levels.LEVELS + tuple(re.findall(r"`([A-Z]+)`", SCHEMAS["LevelName"]["description"]))
    for name in names:
        for spelling in (name, name.lower(), name.title()):
            assert re.search(pattern, spelling)
            assert levels.canonical_level(spelling) is not None
    known = {name for name in levels._CANONICAL if re.search(pattern, name)}
    assert known == set(levels._CANONICAL)
    assert known <= set(names)


def test_its_query_parameters_are_the_parameters() -> None:
    def names(method: str, path: str) -> set[str]:
        references = DOCUMENT["paths"][path][method]["parameters"]
        return {PARAMETERS[each["$ref"].rpartition("/")[2]]["name"] for each in references}

    fields = {"metadata.KEY"}
    assert names("get", "/logs/recent") == RECENT | fields
    assert names("get", "/services/{service_name}/logs") == (RECENT | fields) - {"service_name"}
    assert names("get", "/logs/stats") == STATS | fields


def test_its_error_types_are_the_error_types() -> None:
    kinds = [getattr(errors, name) for name in dir(errors)]
    answers = [error_response(kind("")) for kind in kinds if isinstance(kind, type) and kind is not Exception]
    for answer in answers:
        error_type = dict(answer.headers)["x-amzn-ErrorType"]
        responses = DOCUMENT["paths"]["/logs"]["post"]["responses"]
        response = COMPONENTS["responses"][responses[str(answer.status)]["$ref"].rpartition("/")[2]]
        assert response["headers"]["x-amzn-ErrorType"]["schema"] == {"const": error_type}
        assert ("Retry-After" in response["headers"]) == ("Retry-After" in dict(answer.headers))


# --- Examples. ---


def examples_of(node: dict[str, Any]) -> dict[str, Any]:
    """The values of an object's examples by name; one without a name is called after its object."""
    named = {name: example["value"] for name, example in node.get("examples", {}).items()}
    return named | ({node["name"]: node["example"]} if "example" in node and "name" in node else {})


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """Its retention is long, since examples have dates and stay as they are."""
    with running_home("--retention-days", "3650") as running:
        yield running


BODIES = {
    name: (path, content_type, value)
    for path, item in DOCUMENT["paths"].items()
    if "post" in item
    for content_type, media in COMPONENTS["requestBodies"][item["post"]["requestBody"]["$ref"].rpartition("/")[2]][
        "content"
    ].items()
    for name, value in examples_of(media).items()
}


@pytest.mark.parametrize("name", BODIES)
def test_every_example_of_a_body_is_stored(home: Home, name: str) -> None:
    path, content_type, value = BODIES[name]
    body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
    answer = home.admin.post(body, ("Content-Type", content_type), path=path.replace("{service_name}", "shop"))
    assert answer.status == 201
    assert said(answer).get("rejected", []) == []


PARAMETER_EXAMPLES = [
    (parameter["name"], value)
    for parameter in PARAMETERS.values()
    if parameter["in"] == "query"
    for value in examples_of(parameter).values()
]


@pytest.mark.parametrize(("name", "value"), PARAMETER_EXAMPLES)
def test_every_example_of_a_query_parameter_is_understood(home: Home, name: str, value: object) -> None:
    path = "/logs/stats" if name in {"by", "interval"} else "/logs/recent"
    assert home.admin.get(path, **{name: value}).status == 200


def test_the_examples_of_the_other_parameters_are_understood(home: Home) -> None:
    service, key = PARAMETERS["ServiceOfPath"]["example"], PARAMETERS["IdempotencyKey"]["example"]
    sent = {"log_type": "a", "message": "b"}
    for encoding in PARAMETERS["ContentEncoding"]["schema"]["enum"]:
        assert home.admin.post(sent, ("Content-Encoding", encoding)).status in {201, 400}
    assert home.admin.post(sent, ("Idempotency-Key", key), path=f"/services/{quote(service)}/logs").status == 201


def test_only_the_cursor_has_no_example_since_nobody_can_make_one_up() -> None:
    assert {each["name"] for each in PARAMETERS.values() if not examples_of(each)} == {"cursor", "Content-Encoding"}


ANSWERS = {
    name: (status, value)
    for item in DOCUMENT["paths"].values()
    for method, operation in item.items()
    if method in METHODS
    for status, reference in operation["responses"].items()
    for media in COMPONENTS["responses"]
    .get(reference.get("$ref", "").rpartition("/")[2], reference)
    .get("content", {})
    .values()
    for name, value in examples_of(media).items()
}


def own(home: Home, policy: Any = "admin", **arguments: Any) -> Caller:
    """Somebody called shop, as in the examples."""
    return home.caller(home.key(policy, name="shop", **arguments))


def spoilt(home: Home, old: str, new: str) -> Answer:
    return home.admin.send(edited(home.admin.signed("GET", "/logs/recent"), old, new))


def example_body(name: str) -> Any:
    return BODIES[name][2]


def store_some(home: Home) -> Answer:
    thrice = [example_body("oneRecord"), {"service_name": "shop", "log_type": "a"}, example_body("everyField")]
    home.admin.post(example_body("everyField"))
    return home.admin.post(thrice)


def use_a_key_twice(home: Home) -> Answer:
    home.admin.post(example_body("oneRecord"), ("Idempotency-Key", "used"))
    return home.admin.post(example_body("wrapper"), ("Idempotency-Key", "used"))


def cursor_of(home: Home) -> str:
    for _ in range(2):
        home.admin.post(example_body("oneRecord"))
    return str(home.admin.page(service_name="shop", limit=1)["next_cursor"])


def count_three(home: Home, **parameters: str) -> Answer:
    """Three records of the day of the examples, in a service of their own, counted."""
    service = fresh_name()
    moment = "2026-11-21T08:15:30Z"
    for level in ("ERROR", "INFO", "ERROR"):
        home.admin.post({**example_body("oneRecord"), "service_name": service, "timestamp": moment, "level": level})
    return home.admin.get("/logs/stats", **{"service_name": service, "since": ONE_DAY, **parameters})


def expired(home: Home) -> Answer:
    caller = own(home, expires_in_seconds=1)
    deadline = time.monotonic() + 20
    while (answer := caller.get()).status == 200:
        assert time.monotonic() < deadline
    return answer


def throttled(_: Home) -> Answer:
    with running_home("--throttle-rate", "0.1", "--throttle-burst", "1") as slow:
        slow.admin.get()
        return slow.admin.get()


def raw(home: Home, data: bytes) -> Answer:
    with connected(home.address) as client:
        return client.ask(data)


DENY = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Deny", "Action": "execute-api:Invoke", "Resource": "*"},
}
ONE_DAY = "2026-11-21T00:00:00Z"
LINES = b'{"service_name": "shop", "log_type": "access", "message": "a"}\n'

PROVOKED: dict[str, Callable[[Home], Answer]] = {
    "healthy": lambda home: home.stranger.ask("GET", "/health"),
    "storedOne": lambda home: home.admin.post(example_body("oneRecord")),
    "storedOwnId": lambda home: home.admin.post(example_body("everyField")),
    "storedSome": store_some,
    "allRejected": lambda home: home.admin.post({**example_body("oneRecord"), "level": "loud"}),
    "emptyBatch": lambda home: home.admin.post([]),
    "notJson": lambda home: home.admin.post(b'{"service_name": "shop"'),
    "severalLines": lambda home: home.admin.post(LINES * 2),
    "tooManyRecords": lambda home: home.admin.post([example_body("oneRecord")] * (limits.REQUEST_RECORDS_MAX + 1)),
    "badPacking": lambda home: home.admin.post(gzip.compress(LINES)[:-1], NDJSON, ("Content-Encoding", "gzip")),
    "unknownParameterOfPost": lambda home: home.admin.ask("POST", "/logs", "dry_run=1", (), LINES),
    "page": lambda home: (home.admin.post(example_body("everyField")), home.admin.get(log_type="audit", since=ONE_DAY))[
        1
    ],
    "statsByLevel": lambda home: count_three(home, by="level", interval="1d"),
    "statsOfAll": lambda home: count_three(home, since="2026-11-21T08:00:00Z"),
    "noStats": lambda home: home.admin.get("/logs/stats", service_name="nobody"),
    "unknownBy": lambda home: home.admin.get("/logs/stats", by="message"),
    "badInterval": lambda home: home.admin.get("/logs/stats", interval="1w"),
    "tooManyBuckets": lambda home: home.admin.get("/logs/stats", interval="30s"),
    "limitOfStats": lambda home: home.admin.get("/logs/stats", limit=10),
    "cursorOfRecords": lambda home: home.admin.get("/logs/stats", cursor=cursor_of(home), service_name="shop"),
    "emptyPage": lambda home: home.admin.get(service_name="nobody"),
    "unknownParameter": lambda home: home.admin.ask("GET", "/logs/recent", "servcie_name=shop"),
    "parameterTwice": lambda home: home.admin.ask("GET", "/logs/recent", "limit=1&limit=2"),
    "limitPastBound": lambda home: home.admin.get(limit=limits.PAGE_RECORDS_MAX + 1),
    "hoursAndSince": lambda home: home.admin.get(hours=1, since="1h"),
    "emptyRange": lambda home: home.admin.get(since="1h", until="2h"),
    "cursorOfOtherFilters": lambda home: home.admin.get(cursor=cursor_of(home)),
    "cursorOfNobody": lambda home: home.admin.get(cursor="abc"),
    "unclosedPhrase": lambda home: home.admin.get(q='"disk full'),
    "noWord": lambda home: home.admin.get(q="disk => full"),
    "badPattern": lambda home: home.admin.get(pattern="(a"),
    "emptyField": lambda home: home.admin.get(**{"metadata.user": ""}),
    "badFraming": lambda home: raw(
        home, b"POST /logs HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    ),
    "badPath": lambda home: home.admin.ask("GET", "/services/../logs"),
    "unknownRoute": lambda home: home.stranger.ask("OPTIONS", "/services/a%20b/logs"),
    "missingToken": lambda home: home.stranger.get(),
    "unknownKey": lambda home: home.caller(Credentials("AKIAIOSFODNN7EXAMPLE", "secret")).get(),
    "signatureDiffers": lambda home: home.admin.send(
        home.admin.signed("GET", "/logs/recent")._replace(query="limit=1")
    ),
    "tooOld": lambda home: home.admin.ask("GET", "/logs/recent", now=time.time() - 400),
    "tooNew": lambda home: home.admin.ask("GET", "/logs/recent", now=time.time() + 400),
    "malformed": lambda home: home.stranger.ask("GET", "/logs/recent", "", [("Authorization", "Bearer abc")]),
    "wrongRegion": lambda home: Caller(home.address, home.admin.credentials, "eu-west-9").get(),
    "wrongService": lambda home: spoilt(home, "/execute-api/", "/logs/"),
    "expiredToken": expired,
    "notAllowed": lambda home: own(home, "read").ask("GET", "/metrics"),
    "explicitlyDenied": lambda home: own(home, DENY).ask("GET", "/metrics"),
    "tooLarge": lambda home: home.admin.post(b" " * (limits.BODY_WIRE_BYTES_MAX + 1)),
    "unknownEncoding": lambda home: home.admin.post(LINES, ("Content-Encoding", "br")),
    "unknownExpectation": lambda home: home.admin.ask("POST", "/logs", "", [("Expect", "tea")], LINES),
    "keyUsedOtherwise": use_a_key_twice,
    "tooManyRequests": throttled,
    "headersTooLarge": lambda home: home.admin.ask(
        "GET", "/logs/recent", "", [("X-Long", "x" * limits.HEAD_BYTES_MAX)]
    ),
}
ELSEWHERE = {
    "slowHead": "takes as long as the bound on a slow head; tests of the listener set another",
    "readOnly": "takes a disk that fails; tests of the store have one",
    "unavailable": "the same",
    "partlyStored": "takes a table without capacity; tests of serving over a table have one",
    "diskFull": "takes a disk that is full; tests of the store have one",
}


def test_every_example_of_an_answer_is_provoked_here_or_elsewhere() -> None:
    assert ANSWERS.keys() == PROVOKED.keys() | ELSEWHERE.keys()


def masked(value: Any) -> Any:
    """The same without what is another each time: generated ids, signing moments, day by day."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "ID", json.dumps(value))
    return json.loads(re.sub(r"\d{8}T\d{6}Z", "MOMENT", text))


@pytest.mark.parametrize("name", PROVOKED)
def test_every_example_of_an_answer_comes_as_it_is_written(home: Home, name: str) -> None:
    status, example = ANSWERS[name]
    answer = PROVOKED[name](home)
    assert answer.status == int(status)
    assert masked(said(answer)) == masked(example)


@pytest.mark.parametrize("name", ["notAllowed", "explicitlyDenied"])
def test_an_arn_in_an_example_is_one_of_this_home(home: Home, name: str) -> None:
    assert home.arn("GET", "/metrics") in ANSWERS[name][1]["Message"]


def test_the_preflights_headers_are_as_documented(home: Home) -> None:
    answer = home.stranger.ask("OPTIONS", "/logs")
    example = COMPONENTS["responses"]["Preflight"]["headers"]["Access-Control-Allow-Methods"]["example"]
    assert answer.headers["access-control-allow-methods"] == example
    assert wire(home.stranger.signed("OPTIONS", "/logs")).startswith(b"OPTIONS /logs ")
