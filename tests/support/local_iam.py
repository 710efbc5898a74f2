"""IAM and STS on this machine: who may call, with which keys, and what their policies decide.

Signatures are checked by our own verifier and policies read by our own parser: whether these decide as AWS does is for
a smoke test to find out.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from simple_log_service.api.access_key import AccessKey
from simple_log_service.api.identity import Principal
from simple_log_service.api.messages import RequestHead
from simple_log_service.api.policy import Decision, Policy, denied
from simple_log_service.api.signer import Credentials
from simple_log_service.api.sigv4 import Verifier
from support.api_template import ACCOUNT, REGION
from support.loopback import Received

_NO_TOKEN_TIME = {"Null": {"aws:TokenIssueTime": "true"}}


class Caller(NamedTuple):
    """A principal with one of its keys; ``identity`` is what events tell of it."""

    key: AccessKey
    identity: Mapping[str, str]


class LocalIam:
    """The account's callers."""

    def __init__(self) -> None:
        self._callers: dict[str, Caller] = {}
        self._verifier = Verifier(self._find_key, region=REGION, clock=time.time)

    def session(self, role: str, policy: Mapping[str, Any], expires_in_seconds: int) -> Credentials:
        """Temporary credentials of a new session of a role, which is named after its key."""
        access_key_id = f"ASIA{secrets.token_hex(8).upper()}"
        return self._add(
            Credentials(access_key_id, secrets.token_urlsafe(30), secrets.token_urlsafe(90)),
            f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{access_key_id}",
            f"AROA{_id_of(role)}:{access_key_id}",
            policy,
            time.time() + expires_in_seconds,
        )

    def user(self, name: str, policy: Mapping[str, Any]) -> Credentials:
        """A long-lived key of a user."""
        credentials = Credentials(f"AKIA{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30))
        return self._add(credentials, f"arn:aws:iam::{ACCOUNT}:user/{name}", f"AIDA{_id_of(name)}", policy, None)

    def authenticated(self, received: Received) -> Caller:
        """The caller whose signature it is; raises ``Refused``."""
        path, _, query = received.target.partition("?")
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in received.headers]
        head = RequestHead(
            received.method, path, query, headers, dict(headers), received.source_ip, True, "", time.time_ns()
        )
        principal = self._verifier.check_head(head).verify(hashlib.sha256(received.body).hexdigest())
        return self._callers[principal.access_key_id]

    def authorize(self, caller: Caller, resource_arn: str, source_ip: str) -> None:
        """Raises ``Refused`` where the caller's policy does not allow it. Real callers come over TLS, so these do."""
        decision = caller.key.policy.decide(resource_arn, source_ip, secure=True)
        if decision is not Decision.ALLOWED:
            raise denied(caller.key.principal.arn, resource_arn, decision)

    def _add(
        self,
        credentials: Credentials,
        arn: str,
        principal_id: str,
        policy: Mapping[str, Any],
        expires_at: float | None,
    ) -> Credentials:
        access_key_id = credentials.access_key_id
        is_temporary = credentials.session_token is not None
        self._callers[access_key_id] = Caller(
            AccessKey(
                access_key_id,
                credentials.secret_access_key,
                # Whose retries are whose is for the function to say, from the event.
                Principal(access_key_id, arn, owner=""),
                Policy.parse(_as_seen_by(policy, is_temporary=is_temporary)),
                credentials.session_token,
                expires_at,
            ),
            {
                "accessKey": access_key_id,
                "accountId": ACCOUNT,
                "caller": principal_id,
                "user": principal_id,
                "userArn": arn,
            },
        )
        return credentials

    def _find_key(self, access_key_id: str) -> AccessKey | None:
        caller = self._callers.get(access_key_id)
        return None if caller is None else caller.key


def _id_of(name: str) -> str:
    """The same for each session of a role, as the ids of IAM are."""
    return hashlib.sha256(name.encode()).hexdigest()[:17].upper()


def _as_seen_by(policy: Mapping[str, Any], *, is_temporary: bool) -> dict[str, Any]:
    """The policy with its conditions on ``aws:TokenIssueTime`` settled: only temporary credentials have one."""
    statements = []
    for statement in policy["Statement"]:
        if statement.get("Condition") != _NO_TOKEN_TIME:
            statements.append(statement)
        elif not is_temporary:
            statements.append({name: value for name, value in statement.items() if name != "Condition"})
    return {**policy, "Statement": statements}
