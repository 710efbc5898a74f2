"""The embedded home's settings: flags of ``serve``, or environment variables (``SIMPLE_LOG_SERVICE_`` and the field).

This is the one place where the server reads its environment.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from simple_log_service.core import limits
from simple_log_service.core.retention import Retention
from simple_log_service.core.validation import names_error
from simple_log_service.server.sizes import parse_size
from simple_log_service.stores.dynamodb.keys import INDEX_NAME

_DYNAMODB_NAME = r"^[A-Za-z0-9_.-]{3,255}$"
"""Of tables and indexes: DynamoDB Developer Guide, "Supported data types and naming rules"."""


def _from_json(value: Any) -> Any:
    """What a variable holds; pydantic-settings would end in a traceback over text that is no JSON."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError('must be a JSON object, as {"name": 8}') from None


def _named(chars_max: int) -> Callable[[dict[str, int]], dict[str, int]]:
    """Holds the names to what records may have as theirs: a rule with another would never apply."""

    def check(days: dict[str, int]) -> dict[str, int]:
        error = names_error(days, chars_max)
        if error is not None:
            raise ValueError(error)
        return days

    return check


def _size(value: Any) -> Any:
    return parse_size(value) if isinstance(value, str) else value


def _large_enough(size_bytes: int) -> int:
    if size_bytes < limits.STORE_SIZE_BYTES_MIN:
        raise ValueError(f"must be at least {limits.STORE_SIZE_BYTES_MIN // limits.MIB}MiB")
    return size_bytes


_FromJson = (NoDecode, BeforeValidator(_from_json))
_Days = Annotated[int, Field(ge=1, le=limits.RETENTION_DAYS_MAX)]
_OwnDays = Annotated[_Days, Field(strict=True)]
_Shards = Annotated[int, Field(ge=1, le=limits.TYPE_SHARDS_MAX)]
_DaysOfServices = Annotated[dict[str, _OwnDays], *_FromJson, AfterValidator(_named(limits.SERVICE_NAME_CHARS_MAX))]
_DaysOfTypes = Annotated[dict[str, _OwnDays], *_FromJson, AfterValidator(_named(limits.LOG_TYPE_CHARS_MAX))]


class Settings(BaseSettings):
    """Everything that an operator may choose. A flag wins over its variable, a variable over the default."""

    model_config = SettingsConfigDict(env_prefix="SIMPLE_LOG_SERVICE_", frozen=True, extra="forbid")

    data_dir: Path = Field(
        Path("data"), description="Folder of the store, the keys and the credentials, made at the first start."
    )
    store: Literal["embedded", "dynamodb"] = Field(
        "embedded", description="Where records are kept: in files in the data folder, or in a DynamoDB table."
    )
    table: str | None = Field(None, pattern=_DYNAMODB_NAME, description="Name of the table, with --store dynamodb.")
    table_index: str = Field(
        INDEX_NAME, pattern=_DYNAMODB_NAME, description="Name of the table's index by type and time."
    )
    endpoint_url: str | None = Field(
        None, pattern=r"^https?://", description="DynamoDB API endpoint, where it is not AWS's own of the region."
    )
    type_shards: Annotated[dict[str, _Shards], *_FromJson] = Field(
        {}, description='Hot types and into how many partitions of the index each is spread, as {"access": 8}.'
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    region: str = Field(
        "us-east-1",
        pattern=r"^[a-z0-9-]{1,32}$",
        description="Region that signatures must name; with --store dynamodb the table's, too.",
    )
    throttle_rate: float = Field(
        limits.THROTTLE_RATE_DEFAULT, ge=0, description="Requests a second, in all and for each key; 0 is no limit."
    )
    throttle_burst: float = Field(limits.THROTTLE_BURST_DEFAULT, ge=1, description="Size of the throttle's bucket.")
    tls_cert: Path | None = Field(
        None, description="Certificate chain (PEM); with --tls-key the service speaks HTTPS, TLS 1.2 and up."
    )
    tls_key: Path | None = Field(None, description="Private key of the certificate (PEM).")
    retention_days: _Days = Field(
        limits.RETENTION_DAYS_DEFAULT, description="Days for which records are taken and shown."
    )
    retention_by_service: _DaysOfServices = Field(
        {}, description='Services with days of their own, as {"debug-app": 3}; it wins over the type\'s.'
    )
    retention_by_type: _DaysOfTypes = Field({}, description='Types with days of their own, as {"audit": 365}.')
    max_store_size: Annotated[int, BeforeValidator(_size), AfterValidator(_large_enough)] | None = Field(
        None, description="Size of the store, as 50GiB or 500MB, past which the oldest records are removed."
    )
    temporary_only: bool = Field(default=False, description="Refuse long-lived access keys.")
    access_log: str = Field("-", description="Where a JSON line for each request goes: - (stdout), a file, or off.")
    grace_seconds: float = Field(30.0, ge=0, description="How long a stop waits for requests under way.")
    encryption_key: SecretStr | None = Field(
        None, description="Key-encryption key, base64 of 32 bytes; else the file encryption-key in the data folder."
    )

    @property
    def retention(self) -> Retention:
        """How long records are kept."""
        return Retention(self.retention_days, self.retention_by_service, self.retention_by_type)

    @model_validator(mode="after")
    def _table_goes_with_its_store(self) -> Self:
        if (self.store == "dynamodb") != (self.table is not None):
            raise ValueError("--store dynamodb and --table go together")
        if self.store == "dynamodb" and self.max_store_size is not None:
            raise ValueError("--max-store-size is for --store embedded: a table has no size that could be full")
        return self

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("give both --tls-cert and --tls-key, or neither")
        return self
