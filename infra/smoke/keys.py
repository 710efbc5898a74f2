"""Whom the test asks as: the caller's own temporary credentials, sessions that may do less, and keys that are no good.

The stack's policies for callers are laid upon a role's session (``PolicyArns`` of AssumeRole), so one role is enough to
ask as one who may ingest alone and one who may read alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError
from botocore.session import Session

from infra.assumptions import Signer
from infra.smoke.scene import SERVICE_PREFIX
from simple_log_service.api.signer import Credentials

SESSION_SECONDS = 3600


class NoCredentials(Exception):
    """There are no credentials to ask with; the message says how to get some."""


def credentials_of(session: Session) -> Credentials:
    """The credentials that botocore's chain finds. Raises ``NoCredentials``."""
    try:
        found = session.get_credentials()
        if found is None:
            raise NoCredentials("AWS's library finds no credentials: configure a profile, or log in.")
        frozen = found.get_frozen_credentials()
    except BotoCoreError as error:
        raise NoCredentials(f"AWS's library finds no credentials: {error}.") from None
    return Credentials(frozen.access_key, frozen.secret_key, frozen.token)


def caller_credentials(session: Session, region: str, role: str | None) -> Credentials:
    """The caller's: the role's where one is given. Long-lived keys are refused, as the service refuses them."""
    if role is not None:
        return assumed(session, region, role)
    found = credentials_of(session)
    if found.session_token is None:
        raise NoCredentials(
            "These are long-lived keys, and the service takes temporary credentials alone. Give --role, a role that "
            "you may assume, or a session of `aws sts get-session-token`."
        )
    return found


def assumed(session: Session, region: str, role: str, policy: str | None = None) -> Credentials:
    """A session of the role, held to a managed policy where one is given."""
    sts: Any = session.create_client("sts", region_name=region)
    limits = {} if policy is None else {"PolicyArns": [{"arn": policy}]}
    found = sts.assume_role(
        RoleArn=role, RoleSessionName=f"{SERVICE_PREFIX}caller", DurationSeconds=SESSION_SECONDS, **limits
    )["Credentials"]
    return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])


def gather(
    session: Session, region: str, role: str | None, policies: Mapping[Signer, str], profiles: Mapping[Signer, str]
) -> dict[Signer, Credentials]:
    """All keys that can be had: ``policies`` are ARNs to lay upon the role, ``profiles`` hold keys that are no good."""
    keys: dict[Signer, Credentials] = {"caller": caller_credentials(session, region, role)}
    if role is not None:
        for signer, policy in policies.items():
            keys[signer] = assumed(session, region, role, policy)
    for signer, profile in profiles.items():
        keys[signer] = credentials_of(Session(profile=profile))
    return keys
