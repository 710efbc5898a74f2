"""IAM-style policies over ``execute-api`` resources: what a key may do.

By default everything is denied, and an explicit deny outweighs every allow ("Policy evaluation logic",
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html). A document that holds
anything but what ``api.statements`` knows is refused when it is loaded.

As in IAM, ``*`` in an ARN's last part spans slashes too, so ``*/*/POST/logs`` also matches
``id/stage/GET/services/POST/logs``. A resource that spells out api id and stage has no such second reading.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache, partial
from typing import Any

from simple_log_service.api.errors import Refused
from simple_log_service.api.statements import ACTION, PolicyError, Statement, read_address, read_object, read_statement

__all__ = ["ADMIN", "INGEST", "READ", "Decision", "Policy", "PolicyError", "denied", "invoke_arn"]

VERSION = "2012-10-17"

_PERCENT_ENCODED = re.compile("%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile("[A-Za-z0-9._~-]")
_DECISIONS_REMEMBERED_MAX = 256
"""For each policy, the last used ones."""


class Decision(Enum):
    """What a policy says of a request."""

    ALLOWED = "allowed"
    DENIED = "denied"
    DENIED_EXPLICIT = "denied explicitly"


class Policy:
    """A document that has been understood as a whole."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        self._decide = lru_cache(_DECISIONS_REMEMBERED_MAX)(partial(_decide, tuple(statements)))

    @classmethod
    def parse(cls, document: str | Mapping[str, Any]) -> Policy:
        """The policy of a document, JSON text or decoded; raises ``PolicyError``."""
        decoded = _decode(document) if isinstance(document, str) else document
        elements = read_object(decoded, "Policy", frozenset({"Version", "Statement"}))
        if elements["Version"] != VERSION:
            raise PolicyError(f'Policy: Version must be "{VERSION}".')
        statements = elements["Statement"]
        if not isinstance(statements, list):
            statements = [statements]
        if not statements:
            raise PolicyError("Policy: Statement must not be empty.")
        return cls([read_statement(each, f"Statement {number}") for number, each in enumerate(statements, 1)])

    def decide(self, resource_arn: str, source_ip: str, secure: bool) -> Decision:
        """Whether ``execute-api:Invoke`` is allowed on a resource, as ``invoke_arn`` writes it.

        ``source_ip`` is the caller's address, ``secure`` whether it came over TLS. Where the address cannot be
        read, a policy that asks for it anywhere denies.
        """
        return self._decide(resource_arn, source_ip, secure)


def _decide(statements: tuple[Statement, ...], resource_arn: str, source_ip: str, secure: bool) -> Decision:
    address = read_address(source_ip)
    if address is None and any(statement.source_ip for statement in statements):
        return Decision.DENIED
    decision = Decision.DENIED
    for statement in statements:
        if statement.applies(resource_arn, address, secure):
            if statement.denies:
                return Decision.DENIED_EXPLICIT
            decision = Decision.ALLOWED
    return decision


def invoke_arn(region: str, account: str, api_id: str, stage: str, method: str, path: str) -> str:
    """The resource that a request invokes; ``path`` is the raw text of the request line, with its leading slash.

    A path has one spelling here (RFC 3986, sections 6.2.2.1 and 6.2.2.2): what needs no percent-encoding is decoded,
    the rest keeps it, in upper case. So ``/services/%61/logs`` cannot slip past a rule for ``/services/a/logs``, and
    an encoded slash does not become one. Dot segments and doubled slashes stay, and no route has any.
    """
    if "%" in path:
        path = _PERCENT_ENCODED.sub(_normalise, path)
    return f"arn:aws:execute-api:{region}:{account}:{api_id}/{stage}/{method}{path}"


def denied(principal_arn: str, resource_arn: str, decision: Decision) -> Refused:
    """The answer to a caller whose policy does not allow what it asks for."""
    text = f"User: {principal_arn} is not authorized to perform: {ACTION} on resource: {resource_arn}"
    if decision is Decision.DENIED_EXPLICIT:
        text += " with an explicit deny"
    return Refused(403, "AccessDeniedException", text, message_key="Message")


def _normalise(match: re.Match[str]) -> str:
    character = chr(int(match[0][1:], 16))
    return character if _UNRESERVED.fullmatch(character) else match[0].upper()


def _decode(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except PolicyError:
        raise
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"Policy: not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise PolicyError("Policy: an element is given twice in one object.")
    return document


def _document(*statements: tuple[str, list[str]]) -> dict[str, Any]:
    """A document over any region, account, api id and stage, of (effect, resources)."""
    return {
        "Version": VERSION,
        "Statement": [
            {"Effect": effect, "Action": ACTION, "Resource": [f"arn:aws:execute-api:*:*:{each}" for each in resources]}
            for effect, resources in statements
        ],
    }


INGEST = _document(
    ("Allow", ["*/*/POST/logs", "*/*/POST/services/*/logs"]),
    # The second reading that the module speaks of: the logs of a service that is called POST.
    ("Deny", ["*/*/GET/services/POST/logs"]),
)
READ = _document(("Allow", ["*/*/GET/logs/*", "*/*/GET/services/*/logs"]))
ADMIN = _document(("Allow", ["*"]))
