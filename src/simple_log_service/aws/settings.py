"""The functions' settings: environment variables, ``SIMPLE_LOG_SERVICE_`` and the field's name in capitals.

This is the one place where the functions read their environment. ``Settings`` are those of Ingest and Read; the
stream's consumer has its own (``stream.home``), read in the same way.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from simple_log_service.core.limits import (
    RETENTION_DAYS_DEFAULT,
    RETENTION_DAYS_MAX,
    TYPE_SHARDS_MAX,
)
from simple_log_service.core.retention import Retention
from simple_log_service.core.validation import retention_error

PREFIX = "SIMPLE_LOG_SERVICE_"

T = TypeVar("T", bound=msgspec.Struct)

NotEmpty = Annotated[str, Meta(min_length=1)]
RetentionDays = Annotated[int, Meta(ge=1, le=RETENTION_DAYS_MAX)]


class BadSettings(ValueError):
    """The environment does not say what it has to; the text names the variable."""


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long records are kept, in days; services and types may have days of their own, of which a service's win."""

    retention_days: RetentionDays = RETENTION_DAYS_DEFAULT
    retention_by_service: dict[str, RetentionDays] = {}
    retention_by_type: dict[str, RetentionDays] = {}

    def __post_init__(self) -> None:
        """Refuse names that no record can have."""
        wrong = retention_error(self.retention_by_service, self.retention_by_type)
        if wrong is not None:
            setting, error = wrong
            raise BadSettings(f"{PREFIX}{setting.upper()}: {error}")

    @property
    def retention(self) -> Retention:
        """The rules."""
        return Retention(self.retention_days, self.retention_by_service, self.retention_by_type)


class Settings(RetentionSettings, frozen=True):
    """What a deployment decides.

    ``type_shards`` says over how many values of the index a log type is spread, one where it is not named.
    ``dynamodb_endpoint_url`` stands for the region's own: for tests. ``metrics_namespace`` is CloudWatch's.
    """

    region: NotEmpty
    table_name: NotEmpty
    index_name: NotEmpty
    type_shards: dict[str, Annotated[int, Meta(ge=1, le=TYPE_SHARDS_MAX)]] = {}
    dynamodb_endpoint_url: str | None = None
    metrics_namespace: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._/#:-]{1,255}\Z")] = "SimpleLogService"


_VARIABLES = {"region": "AWS_REGION"}
"""The one that Lambda sets by itself."""
_JSON_FIELDS = frozenset({"retention_by_service", "retention_by_type", "type_shards"})


def settings_of_the_function(kind: type[T]) -> T:
    """The settings that this process's environment holds."""
    return read_settings(os.environ, kind)


def read_settings(environ: Mapping[str, str], kind: type[T]) -> T:
    """An environment's settings of a kind, a struct with a field for each variable; raises ``BadSettings``."""
    given: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        variable = _VARIABLES.get(field.name, PREFIX + field.name.upper())
        if variable in environ:
            given[field.name] = _value(field, variable, environ[variable])
        elif field.required:
            raise BadSettings(f"{variable} is not set.")
    return kind(**given)


def _value(field: msgspec.structs.FieldInfo, variable: str, text: str) -> object:
    try:
        value = msgspec.json.decode(text) if field.name in _JSON_FIELDS else text
        # Not strict: a number is text in an environment.
        return msgspec.convert(value, field.type, strict=False)
    except msgspec.DecodeError as error:
        raise BadSettings(f"{variable}: {error}") from None
