"""Searching, end to end: words, patterns, fields, together and with the other filters, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from contract.http_caller import refusal, said
from contract.http_home import AnyHome, fresh_name, record

pytestmark = pytest.mark.xdist_group("http search")

RECORDS: list[dict[str, Any]] = [
    {"message": "Disk full on /dev/sda1", "level": "ERROR", "metadata": {"host": "web-1", "user": {"id": 4711}}},
    {"message": "full disk check passed", "metadata": {"host": "web-2", "took_ms": 12.50, "ok": True}},
    {"message": "disks: 3", "log_type": "access", "metadata": {"path": "/api/v1/users", "status": 500}},
    {"message": "connection refused by 10.0.0.1\nretrying", "metadata": {"note": "disk\u0000full"}},
    {"message": "Größe\u0000geändert 価格変更", "log_type": "access", "metadata": {"tags": ["sale", None]}},
    {"message": "", "metadata": {"a.b": {"c": "x y"}, "disk": "ssd"}},
]


@pytest.fixture(scope="module")
def service(home: AnyHome) -> str:
    """A service with the records, the first of them the oldest."""
    name = fresh_name()
    for each in RECORDS:
        assert home.admin.post(record(name, **each)).status == 201
    return name


def found(home: AnyHome, service: str, parameters: Mapping[str, str]) -> list[int]:
    """The places of what is found, the oldest first."""
    texts = [each["message"] for each in RECORDS]
    return sorted(
        texts.index(each["message"]) for each in home.admin.logs("/logs/recent", service_name=service, **parameters)
    )


@pytest.mark.parametrize(
    ("asked", "places"),
    [
        ({"q": "disk"}, [0, 1, 3]),
        ({"q": "DISK full"}, [0, 1, 3]),
        ({"q": '"disk full"'}, [0, 3]),
        ({"q": "disk*"}, [0, 1, 2, 3]),
        ({"q": "disk* -passed"}, [0, 2, 3]),
        ({"q": '-disk* -"größe geändert"'}, [5]),
        ({"q": "10.0.0.1"}, [3]),
        ({"q": "/api/v1"}, [2]),
        ({"q": "grösse"}, [4]),
        ({"q": "GRÖSSE"}, [4]),
        ({"q": "GRÖẞE"}, [4]),
        ({"q": "価格変更"}, [4]),
        ({"q": "価格*"}, [4]),
        ({"q": "4711 web-1"}, [0]),
        ({"q": "12.5"}, [1]),
        ({"q": "true"}, [1]),
        ({"q": "null sale"}, [4]),
        ({"q": "host"}, []),
        ({"q": "ssd"}, [5]),
        ({"pattern": "(?i)^disk"}, [0, 2]),
        ({"pattern": r"\x00"}, [4]),
        ({"pattern": r"1\nr"}, [3]),
        ({"pattern": "web-1"}, []),
        ({"pattern": "^$"}, [5]),
        ({"metadata.host": "web-1"}, [0]),
        ({"metadata.host": "web"}, []),
        ({"metadata.user.id": "4711.0"}, [0]),
        ({"metadata.took_ms": "1.25e1"}, [1]),
        ({"metadata.ok": "true"}, [1]),
        ({"metadata.status": "5e2"}, [2]),
        ({"metadata.a.b.c": "x y"}, [5]),
        ({"metadata.tags": "sale"}, []),
        ({"q": "full", "pattern": "^D", "metadata.host": "web-1", "metadata.user.id": "4711"}, [0]),
        ({"q": "disk*", "log_type": "access"}, [2]),
        ({"q": "disk*", "level": "error"}, [0]),
        ({"q": "disk*", "until": "1h"}, []),
        ({"q": "disk*", "limit": "1"}, [0, 1, 2, 3]),
    ],
)
def test_what_is_asked_for_is_found(home: AnyHome, service: str, asked: dict[str, str], places: list[int]) -> None:
    assert found(home, service, asked) == places


def test_one_services_route_searches_too(home: AnyHome, service: str) -> None:
    logs = home.admin.logs(f"/services/{service}/logs", q="refused", **{"metadata.note": "disk\0full"})
    assert [each["message"] for each in logs] == [RECORDS[3]["message"]]


def test_a_search_by_type_and_one_over_all_find_it_as_well(home: AnyHome) -> None:
    word, log_type = fresh_name().replace("-", "_"), fresh_name("t")
    assert home.admin.post(record(fresh_name(), log_type=log_type, message=f"a {word}!")).status == 201
    assert len(home.admin.logs(q=word, log_type=log_type)) == 1
    assert len(home.admin.logs(q=word)) == 1


def test_a_cursor_belongs_to_its_search(home: AnyHome, service: str) -> None:
    page = home.admin.page(service_name=service, q="disk*", limit=1)
    assert home.admin.page(service_name=service, q="disk*", cursor=page["next_cursor"])["count"] == 3
    for other in ({"q": "disk"}, {"pattern": "disk"}, {"q": "disk*", "metadata.host": "web-1"}, {}):
        answer = home.admin.get(service_name=service, cursor=page["next_cursor"], **other)
        assert refusal(answer) == bad("cursor belongs to a query with other filters.")


def bad(message: str) -> tuple[int, str, dict[str, str]]:
    return 400, "BadRequestException", {"message": message}


@pytest.mark.parametrize(
    "asked",
    [
        {"q": ""},
        {"q": '"disk'},
        {"q": "..."},
        {"q": "-"},
        {"q": "*"},
        {"q": "di*sk"},
        {"q": "x" * 1025},
        {"q": " ".join("a" * 33)},
        {"pattern": ""},
        {"pattern": "("},
        {"pattern": "(?=a)"},
        {"pattern": "a{1001}"},
        {"pattern": r"\pL{900}"},
        {"pattern": "x" * 1025},
        {"metadata.": "1"},
        {"metadata.a": ""},
        {f"metadata.{'k' * 257}": "1"},
        {"metadata": "1"},
        {f"metadata.{n}": "1" for n in range(9)},
        {"query": "disk"},
    ],
)
@pytest.mark.parametrize("path", ["/logs/recent", "/services/shop/logs"])
def test_what_cannot_be_searched_for_is_refused_with_a_reason(home: AnyHome, path: str, asked: dict[str, str]) -> None:
    answer = home.admin.get(path, **asked)
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "BadRequestException"
    assert 10 < len(said(answer)["message"]) < 300


@pytest.mark.parametrize("name", ["q", "pattern", "metadata.a"])
def test_a_doubled_search_is_refused(home: AnyHome, name: str) -> None:
    answer = home.admin.ask("GET", "/logs/recent", f"{name}=a&{name}=a")
    assert refusal(answer) == bad(f"{name} is given twice.")


def test_a_pattern_that_hangs_other_engines_does_not_hang_this_one(home: AnyHome) -> None:
    service = fresh_name()
    message = "a" * 100_000 + "!"
    assert home.admin.post(json.dumps(record(service, message=message)).encode()).status == 201
    for pattern in ("(a+)+$", "(a|aa)+$", "(a*)*b", "(?:a?){100}a{100}$"):
        page = home.admin.page(service_name=service, pattern=pattern)
        assert (page["count"], page["complete"]) == (0, True)
