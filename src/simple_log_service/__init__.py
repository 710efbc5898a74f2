"""Simple Log Service: one contract for log records, at home on one machine or on AWS.

``from simple_log_service import Client`` is the Python client; it is loaded when it is first asked for, so that
the server and the command line's help need not wait for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simple_log_service.api.signer import Credentials as Credentials
    from simple_log_service.client.client import Client as Client
    from simple_log_service.client.client import SentBatch as SentBatch
    from simple_log_service.client.errors import ClientError as ClientError
    from simple_log_service.client.errors import NotConfigured as NotConfigured
    from simple_log_service.client.errors import RequestRefused as RequestRefused
    from simple_log_service.client.errors import UnexpectedAnswer as UnexpectedAnswer
    from simple_log_service.client.errors import Unreachable as Unreachable
    from simple_log_service.client.records import LogRecord as LogRecord
    from simple_log_service.client.records import Page as Page
    from simple_log_service.client.stats import Bucket as Bucket
    from simple_log_service.client.stats import Stats as Stats
    from simple_log_service.core.receipts import Receipt as Receipt
    from simple_log_service.core.receipts import Rejection as Rejection

__version__ = "0.1.0"

_HOMES = {
    "Bucket": "client.stats",
    "Client": "client.client",
    "ClientError": "client.errors",
    "Credentials": "api.signer",
    "LogRecord": "client.records",
    "NotConfigured": "client.errors",
    "Page": "client.records",
    "Receipt": "core.receipts",
    "Rejection": "core.receipts",
    "RequestRefused": "client.errors",
    "SentBatch": "client.client",
    "UnexpectedAnswer": "client.errors",
    "Stats": "client.stats",
    "Unreachable": "client.errors",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the names are strings, one a line of the table above


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
