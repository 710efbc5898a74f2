"""Which service a client talks to, and as whom: the one place where that is decided."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from simple_log_service.client.credentials import (
    CredentialsProvider,
    configured_region,
    file_credentials,
    standard_chain,
)
from simple_log_service.client.endpoint import Endpoint
from simple_log_service.client.errors import NotConfigured
from simple_log_service.client.local_endpoint import LocalEndpoint, read_endpoint

ENDPOINT_VARIABLE = "SIMPLE_LOG_SERVICE_ENDPOINT"
REGION_DEFAULT = "us-east-1"


class Target(msgspec.Struct, frozen=True):
    """Where requests go and how they are signed; ``ca_bundle`` is a file of certificates to trust, if not the usual."""

    endpoint: Endpoint
    region: str
    credentials: CredentialsProvider
    ca_bundle: str | None = None


def resolve(
    endpoint: str | None,
    region: str | None,
    profile: str | None,
    credentials: CredentialsProvider | None,
    environ: Mapping[str, str],
) -> Target:
    """Settle endpoint, region and credentials. Raises ``NotConfigured``.

    The endpoint: the one given, else ``SIMPLE_LOG_SERVICE_ENDPOINT``, else the local server that was recorded.

    The credentials, the first that applies:

    1. those given in Python;
    2. the profile given by name, from the standard sources;
    3. the recorded server's own, where the endpoint comes from the record;
    4. ``AWS_ACCESS_KEY_ID`` and the variables beside it;
    5. the recorded server's own, where the endpoint given is the recorded one and ``AWS_PROFILE`` names no other;
    6. the standard sources.

    The region: the one given, else the one in the name of an API Gateway, else the recorded server's where the endpoint
    is that server's, else that of the environment or the profile, else ``us-east-1``.
    """
    named = endpoint or environ.get(ENDPOINT_VARIABLE)
    if named:
        parsed = Endpoint.parse(named)
        record = _record_of(parsed, environ)
    else:
        record = _record_needed(environ)
        parsed = Endpoint.parse(record.endpoint)
    return Target(
        parsed,
        region
        or parsed.aws_region
        or (record and record.region)
        or configured_region(profile, environ)
        or REGION_DEFAULT,
        credentials or _credentials(profile, environ, record, from_record=not named),
        environ.get("AWS_CA_BUNDLE") or None,
    )


def _credentials(
    profile: str | None, environ: Mapping[str, str], record: LocalEndpoint | None, *, from_record: bool
) -> CredentialsProvider:
    if profile is None and record is not None:
        path = record.credentials_path
        others = environ.get("AWS_ACCESS_KEY_ID") or environ.get("AWS_PROFILE")
        if from_record or not others:
            # Read at each request: a server that was started anew may have made a new key.
            return lambda: file_credentials(path)
    return standard_chain(profile, environ)


def _record_of(endpoint: Endpoint, environ: Mapping[str, str]) -> LocalEndpoint | None:
    """The record if it is of this endpoint; one that cannot be read does not matter to who names the endpoint."""
    try:
        record = read_endpoint(environ)
        return record if record is not None and Endpoint.parse(record.endpoint) == endpoint else None
    except NotConfigured:
        return None


def _record_needed(environ: Mapping[str, str]) -> LocalEndpoint:
    record = read_endpoint(environ)
    if record is None:
        raise NotConfigured(
            f"Which service? Give --endpoint (endpoint= in Python), set {ENDPOINT_VARIABLE}, "
            "or start a server here: simple-log-service serve."
        )
    return record
