"""Where the service is: the base URL, on AWS with its stage, taken apart once."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from simple_log_service.client.errors import NotConfigured

_PORTS = {"http": 80, "https": 443}
_AWS_HOST = re.compile(r"[a-z0-9-]+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")


class Endpoint(msgspec.Struct, frozen=True):
    """``base`` has neither path nor final slash; ``path`` is what stands before every route's path, often empty."""

    base: str
    host_header: str
    path: str
    aws_region: str | None

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """The endpoint that is written so. ``NotConfigured`` does not repeat it: a URL may hold a password."""
        try:
            parts = urlsplit(text.strip())
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise _no_url() from None
        if parts.scheme not in _PORTS or not _HOST.fullmatch(host):
            raise _no_url()
        path = parts.path.rstrip("/")
        if parts.username or parts.password or parts.query or parts.fragment or not _PATH.fullmatch(path):
            raise NotConfigured("The endpoint must be no more than scheme, host, port and a plain path.")
        authority = f"[{host}]" if ":" in host else host
        if port is not None and port != _PORTS[parts.scheme]:
            authority = f"{authority}:{port}"
        match = _AWS_HOST.fullmatch(host)
        return cls(f"{parts.scheme}://{authority}", authority, path, match and match[1])

    @property
    def url(self) -> str:
        """The whole of it, in one spelling, to compare and to show."""
        return self.base + self.path


def _no_url() -> NotConfigured:
    return NotConfigured("The endpoint must be a URL such as http://127.0.0.1:8080.")
