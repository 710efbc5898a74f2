"""The botocore client, made as small as it gets: no retries of its own, short timeouts, no probing of regions.

Making one took longest of all that a cold start does: botocore looks through the folders of all AWS services twice, and
reads its models with a slow decoder. Both go through its own port for that, the ``data_loader`` component.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import botocore.session
import msgspec
from botocore.config import Config
from botocore.loaders import JSONFileLoader, Loader

CALLS_AT_ONCE_MAX = 32
_CONFIG = Config(
    # What is worth repeating is decided in table.py, for how long in patience.py.
    retries={"total_max_attempts": 1, "mode": "standard"},
    connect_timeout=2,
    read_timeout=5,
    # Requests and the calls that they make side by side, each in a thread of its own.
    max_pool_connections=2 * CALLS_AT_ONCE_MAX,
    tcp_keepalive=True,
    # What is asked is made in table.py alone, and DynamoDB checks it again.
    parameter_validation=False,
    user_agent="simple-log-service",
)


class _OneService(Loader):  # type: ignore[misc]  # botocore has no types
    """Looks for no other service."""

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - the signature is botocore's
        return ["dynamodb"]


class _JSON(JSONFileLoader):  # type: ignore[misc]  # botocore has no types
    """Reads models with the decoder that is here anyway."""

    def load_file(self, file_path: str) -> Any:
        for suffix, opened in ((".json", open), (".json.gz", gzip.open)):
            path = Path(file_path + suffix)
            if path.is_file():
                with opened(path, "rb") as file:
                    return msgspec.json.decode(file.read())
        return None


def dynamodb_client(region: str, endpoint_url: str | None) -> Any:
    """A client with the credentials that botocore finds; safe to share between threads."""
    session = botocore.session.Session()
    session.register_component("data_loader", _OneService(file_loader=_JSON()))
    return session.create_client("dynamodb", region_name=region, endpoint_url=endpoint_url, config=_CONFIG)
