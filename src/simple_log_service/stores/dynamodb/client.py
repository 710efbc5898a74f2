"""The botocore client, made as small as it gets: no retries of its own, short timeouts, no probing of regions."""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.config import Config

CALLS_AT_ONCE_MAX = 32
_CONFIG = Config(
    # What is worth repeating, and for how long, is decided in one place: table.py.
    retries={"total_max_attempts": 1, "mode": "standard"},
    connect_timeout=2,
    read_timeout=5,
    # Requests and the calls that they make side by side, each in a thread of its own.
    max_pool_connections=2 * CALLS_AT_ONCE_MAX,
    tcp_keepalive=True,
)


def dynamodb_client(region: str, endpoint_url: str | None) -> Any:
    """A client with the credentials that botocore finds; safe to share between threads."""
    return botocore.session.get_session().create_client(
        "dynamodb", region_name=region, endpoint_url=endpoint_url, config=_CONFIG
    )
