"""The consumer, wired: from the function's environment to its handler, once in a container's life."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import botocore.session
import msgspec
from botocore.config import Config
from msgspec import Meta

from simple_log_service.aws.aside import DeadLetters
from simple_log_service.aws.consumer import Consumer, patience_until
from simple_log_service.aws.firehose import ParquetStream
from simple_log_service.aws.search_index import SearchIndex
from simple_log_service.aws.settings import PREFIX, BadSettings
from simple_log_service.aws.signed_http import SignedHttp
from simple_log_service.aws.sink import Sink
from simple_log_service.core.limits import RETENTION_DAYS_DEFAULT
from simple_log_service.stores.dynamodb.patience import Patience

_CONFIG = Config(retries={"total_max_attempts": 1, "mode": "standard"}, connect_timeout=2, read_timeout=10)
"""What is worth repeating is decided in one place each: ``firehose`` and ``search_index``."""
_OPENSEARCH = "es"


class ConsumerSettings(msgspec.Struct, frozen=True):
    """What the deployment tells the consumer; a part without an address is off.

    ``endpoint_url`` stands for the addresses of Firehose and SQS: for tests.
    """

    region: str
    dead_letters_url: Annotated[str, Meta(min_length=1)]
    search_url: str | None = None
    firehose_name: str | None = None
    retention_days: Annotated[int, Meta(ge=1, le=3650)] = RETENTION_DAYS_DEFAULT
    endpoint_url: str | None = None


def consumer_settings(environ: Mapping[str, str]) -> ConsumerSettings:
    """The settings of an environment: ``SIMPLE_LOG_SERVICE_`` and the field's name. Raises ``BadSettings``."""
    names = {field.name: PREFIX + field.name.upper() for field in msgspec.structs.fields(ConsumerSettings)}
    names["region"] = "AWS_REGION"
    try:
        return msgspec.convert(
            {name: environ[variable] for name, variable in names.items() if variable in environ},
            ConsumerSettings,
            strict=False,
        )
    except msgspec.ValidationError as error:
        raise BadSettings(f"{PREFIX}*: {error}") from None


def consumer_home() -> Consumer:
    """The consumer that this process's environment describes."""
    return consumer_of(consumer_settings(os.environ))


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
        sinks.append(SearchIndex(http, settings.retention_days))
    if settings.firehose_name:
        sinks.append(ParquetStream(client("firehose"), settings.firehose_name))
    letters = DeadLetters(client("sqs"), settings.dead_letters_url)
    return Consumer(sinks, letters, write_line=lambda line: sys.stdout.write(line + "\n"), patience=patience)
