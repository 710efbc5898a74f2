"""The endpoint's URL: taken apart once, and refused without being repeated."""

from __future__ import annotations

import pytest

from simple_log_service.client.endpoint import Endpoint
from simple_log_service.client.errors import NotConfigured


@pytest.mark.parametrize(
    ("text", "base", "host_header", "path", "region"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "127.0.0.1:8080", "", None),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080", "127.0.0.1:8080", "", None),
        ("  https://Logs.Example.com:443 ", "https://logs.example.com", "logs.example.com", "", None),
        ("http://[::1]:80/", "http://[::1]", "[::1]", "", None),
        ("http://[::1]:8080", "http://[::1]:8080", "[::1]:8080", "", None),
        (
            "https://a1b2.execute-api.eu-west-1.amazonaws.com/prod/",
            "https://a1b2.execute-api.eu-west-1.amazonaws.com",
            "a1b2.execute-api.eu-west-1.amazonaws.com",
            "/prod",
            "eu-west-1",
        ),
    ],
)
def test_an_endpoint_is_base_host_path_and_the_region_of_an_api_gateway(
    text: str, base: str, host_header: str, path: str, region: str | None
) -> None:
    assert Endpoint.parse(text) == Endpoint(base, host_header, path, region)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:8080",
        "ftp://example.com",
        "http://",
        "http://exa mple.com",
        "http://exämple.com",
        "http://example.com:99999",
        "http://user:hunter2@example.com",
        "http://user:hunter2",
        "http://example.com/?q=hunter2",
        "http://example.com/#hunter2",
        "http://example.com/a b",
        "http://example.com//logs",
        "http://example.com\r\nX: y",
    ],
)
def test_what_is_no_plain_base_url_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(NotConfigured) as refusal:
        Endpoint.parse(text)
    assert "hunter2" not in str(refusal.value)
