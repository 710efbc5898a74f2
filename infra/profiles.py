"""Environments as data: dev and prod differ in what stands here, and in nothing else.

A profile is the defaults of its environment, then a JSON file of settings (``-c settings=FILE``), then single settings
(``-c log_retention_days=14``); the later one wins. A setting that is unknown or out of bounds is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from simple_log_service.core.limits import (
    RETENTION_DAYS_DEFAULT,
    RETENTION_DAYS_MAX,
    TYPE_SHARDS_MAX,
)
from simple_log_service.core.validation import retention_error

SERVICE = "simple-log-service"
RECOVERY_DAYS = 35
"""How far point-in-time recovery reaches back, of every table: DynamoDB's longest."""

Environment = Literal["dev", "prod"]
Units = Annotated[int, Meta(ge=1, le=40_000)]
"""Read or write capacity units; the upper bound is DynamoDB's default quota of a table."""
Days = Annotated[int, Meta(ge=1, le=RETENTION_DAYS_MAX)]
LogRetentionDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 180, 365]
"""Some of the periods that CloudWatch Logs offers."""


class Refused(Exception):
    """A setting that cannot be; the message names it and what is allowed."""


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that may differ between two deployments. Table and index always have the same capacity.

    ``trace_rate`` is the share of requests that X-Ray samples beyond the first of each second. With
    ``table_data_events`` CloudTrail records every access to the table. ``backup_retention_days`` keeps so many daily
    copies of the whole table, beside point-in-time recovery, which reaches back 35 days for a fraction of it. An
    account has one Config recorder and one API Gateway account role in each region: ``config_recorder`` and
    ``api_gateway_account_role`` make them where there are none. ``retention_by_service`` and ``retention_by_type`` keep
    records of these for other days than ``retention_days``; a service's win over its type's. ``type_shards`` spreads a
    hot log type over so many values of the index. ``restored_table`` takes a table that was restored from a backup in
    place of making one.
    """

    environment: Environment
    removal_policy: Literal["destroy", "retain"]
    trace_rate: Annotated[float, Meta(ge=0, le=1)]
    table_data_events: bool
    deletion_protection: bool = True
    capacity_units_min: Units = 5
    capacity_units_max: Units = 100
    capacity_target_percent: Annotated[int, Meta(ge=20, le=90)] = 70
    log_retention_days: LogRetentionDays = 7
    retention_days: Days = RETENTION_DAYS_DEFAULT
    retention_by_service: dict[str, Days] = {}
    retention_by_type: dict[str, Days] = {}
    backup_retention_days: Days = 7
    alarm_email: Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    architecture: Literal["arm64", "x86_64"] = "arm64"
    python_version: Literal["3.11", "3.12", "3.13"] = "3.11"
    type_shards: dict[Annotated[str, Meta(min_length=1)], Annotated[int, Meta(ge=1, le=TYPE_SHARDS_MAX)]] = {}
    config_recorder: bool = False
    api_gateway_account_role: bool = False
    restored_table: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{3,255}$")] | None = None
    stream: bool = False
    search: bool = False
    analytics: bool = False
    replica_regions: tuple[Annotated[str, Meta(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no single field can tell."""
        if self.capacity_units_min > self.capacity_units_max:
            raise ValueError("capacity_units_min must not be over capacity_units_max")
        wrong = retention_error(self.retention_by_service, self.retention_by_type)
        if wrong is not None:
            raise ValueError(": ".join(wrong))

    @property
    def prefix(self) -> str:
        """What every name of this environment begins with; the stack's own name, too."""
        return f"{SERVICE}-{self.environment}"

    @property
    def tags(self) -> dict[str, str]:
        """What all of its resources are marked with."""
        return {"service": SERVICE, "environment": self.environment}

    @property
    def metrics_namespace(self) -> str:
        """Where CloudWatch keeps the service's own metrics: apart from the other environments' in the account."""
        return f"SimpleLogService/{self.environment}"

    def named(self, part: str) -> str:
        """The name of one of its resources."""
        return f"{self.prefix}-{part}"


DEV = Profile(environment="dev", removal_policy="destroy", trace_rate=0.01, table_data_events=False)
PROD = Profile(environment="prod", removal_policy="retain", trace_rate=0.05, table_data_events=True)
PROFILES: Mapping[str, Profile] = {profile.environment: profile for profile in (DEV, PROD)}

_SETTINGS = {field.name: field for field in msgspec.structs.fields(Profile) if field.name != "environment"}
_TEXTS = ("alarm_email", "python_version", "restored_table")


def profile_of(environment: str, context: Mapping[str, Any]) -> Profile:
    """The environment's profile with what the CDK context sets. Raises ``Refused``.

    Context keys with a colon, a slash or an at sign are the CDK's own.
    """
    if environment not in PROFILES:
        raise Refused(f"There is no environment {environment!r}: use one of {', '.join(PROFILES)}.")
    plain = {key: value for key, value in context.items() if not set(key) & set(":/@")}
    settings = _from_file(plain.pop("settings", None)) | {
        key: _read(key, value) for key, value in plain.items() if key != "env"
    }
    unknown = sorted(settings.keys() - _SETTINGS.keys())
    if unknown:
        raise Refused(f"Unknown setting {unknown[0]!r}. The settings are: {', '.join(sorted(_SETTINGS))}.")
    try:
        return msgspec.convert(msgspec.structs.asdict(PROFILES[environment]) | settings, Profile)
    except msgspec.ValidationError as error:
        raise Refused(f"A setting of {environment} cannot be so: {error}.") from None


def _from_file(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        settings = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise Refused(f"The settings file {path} cannot be read: {error}.") from None
    if not isinstance(settings, dict):
        raise Refused(f"The settings file {path} must hold one JSON object of setting names and values.")
    return settings


def _read(key: str, value: Any) -> Any:
    """A value as ``-c key=value`` gives it, always text: JSON, but for the settings that are text themselves."""
    if not isinstance(value, str) or key in _TEXTS:
        return value or None if key in _TEXTS else value
    try:
        return json.loads(value)
    except ValueError:
        return value
