"""The route table: which raw paths are routes, and what they name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.api.routes import (
    HEALTH,
    INGEST,
    INGEST_SERVICE,
    METRICS,
    RECENT,
    RECENT_SERVICE,
    ROUTES,
    STATS,
    find_route,
    methods_of,
)


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("POST", "/logs", (INGEST, None)),
        ("GET", "/logs/recent", (RECENT, None)),
        ("GET", "/logs/stats", (STATS, None)),
        ("GET", "/health", (HEALTH, None)),
        ("GET", "/metrics", (METRICS, None)),
        ("POST", "/services/shop/logs", (INGEST_SERVICE, "shop")),
        ("GET", "/services/shop/logs", (RECENT_SERVICE, "shop")),
    ],
)
def test_each_route_is_found_by_method_and_path(method: str, path: str, found: object) -> None:
    assert find_route(method, path) == found


def test_routes_are_told_apart_by_name_and_only_health_is_open() -> None:
    assert len({route.name for route in ROUTES}) == len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    assert [route for route in ROUTES if not route.needs_identity] == [HEALTH]


@pytest.mark.parametrize("name", ["a", "A-b_c.d~9", "...", ".a", "a.", "..a", "-", "~", "x" * 128])
def test_a_service_is_named_by_characters_that_need_no_encoding(name: str) -> None:
    assert find_route("POST", f"/services/{name}/logs") == (INGEST_SERVICE, name)


OTHER_NAMES = [
    *"/ +*?:@\\\n\x00ä%",
    "",
    ".",
    "..",
    "x" * 129,
    "a/b",
    "a%2fb",
    "a%2Fb",
    "%61",
    "%2e",
    "%2e%2e",
    "a%00",
    "a\n",
]


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_any_other_name_is_no_route(name: str) -> None:
    for method in ("GET", "POST"):
        assert find_route(method, f"/services/{name}/logs") is None
    assert methods_of(f"/services/{name}/logs") == []


OTHER_PATHS = [
    *(
        "",
        "/",
        "*",
        "logs",
        "/Logs",
        "/logs/",
        "//logs",
        "/./logs",
        "/logs?x",
        "/logs\n",
        "/logs%2frecent",
        "/logs/recent/",
    ),
    *(
        "/services",
        "/services/a",
        "/services/a/logs/",
        "/services/a/logs\n",
        "/services/a/logs/recent",
        "/services/a//logs",
    ),
    *("/x/services/a/logs", "/dev/logs", "/services/{service_name}/logs", "/{service_name}"),
]


@pytest.mark.parametrize("path", OTHER_PATHS)
def test_any_other_path_is_no_route(path: str) -> None:
    assert methods_of(path) == []


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/logs", ["POST"]),
        ("/logs/recent", ["GET"]),
        ("/health", ["GET"]),
        ("/services/shop/logs", ["GET", "POST"]),
    ],
)
def test_a_path_says_which_methods_it_answers(path: str, methods: list[str]) -> None:
    assert methods_of(path) == methods
    for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "get", ""):
        assert (find_route(method, path) is not None) == (method in methods)


@given(st.text(), st.text())
def test_a_path_is_either_a_route_or_not_and_never_an_error(method: str, path: str) -> None:
    for raw in (path, "/services/" + path + "/logs"):
        found = find_route(method, raw)
        assert found is None or found[0].method == method
