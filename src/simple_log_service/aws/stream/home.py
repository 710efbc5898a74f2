"""The consumer, wired: from the function's environment to its handler, once in a container's life."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import botocore.session
from botocore.config import Config

from simple_log_service.aws.settings import NotEmpty, RetentionSettings, settings_of_the_function
from simple_log_service.aws.stream.aside import DeadLetters
from simple_log_service.aws.stream.consumer import Consumer, patience_until
from simple_log_service.aws.stream.firehose import ParquetStream
from simple_log_service.aws.stream.search_index import SearchIndex
from simple_log_service.aws.stream.signed_http import SignedHttp
from simple_log_service.aws.stream.sink import Sink
from simple_log_service.stores.dynamodb.patience import Patience

_CONFIG = Config(retries={"total_max_attempts": 1, "mode": "standard"}, connect_timeout=2, read_timeout=10)
"""What is worth repeating is decided in one place each: ``firehose`` and ``search_index``."""
_OPENSEARCH = "es"


class ConsumerSettings(RetentionSettings, frozen=True):
    """What the deployment tells the consumer; a part without an address is off.

    ``endpoint_url`` stands for the addresses of Firehose and SQS: for tests.
    """

    region: NotEmpty
    dead_letters_url: NotEmpty
    search_url: str | None = None
    firehose_name: str | None = None
    endpoint_url: str | None = None


def consumer_home() -> Consumer:
    """The consumer that this process's environment describes."""
    return consumer_of(settings_of_the_function(ConsumerSettings))


def consumer_of(settings: ConsumerSettings, *, patience: Callable[[float], Patience] = patience_until) -> Consumer:
    """The consumer of these settings. Search comes first: there a repeat overwrites itself."""
    session = botocore.session.get_session()

    def client(service: str) -> Any:
        return session.create_client(
            service, region_name=settings.region, endpoint_url=settings.endpoint_url, config=_CONFIG
        )

    sinks: list[Sink] = []
    if settings.search_url:
        http = SignedHttp(settings.search_url, _OPENSEARCH, settings.region, session.get_credentials())
        sinks.append(SearchIndex(http, settings.retention.longest_days))
    if settings.firehose_name:
        sinks.append(ParquetStream(client("firehose"), settings.firehose_name))
    letters = DeadLetters(client("sqs"), settings.dead_letters_url)
    return Consumer(sinks, letters, write_line=lambda line: sys.stdout.write(line + "\n"), patience=patience)
