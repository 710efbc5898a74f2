"""The statements of an IAM-style policy: reading them, and whether one speaks of a request.

Whatever a statement holds that is not known here is refused (``PolicyError``): an element that is passed over might
be the one that denies. The rules are those of "IAM JSON policy elements reference"
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import msgspec

from simple_log_service.core.errors import LogServiceError

ACTION = "execute-api:Invoke"

Address = IPv4Address | IPv6Address

_BOOLEANS = {True: True, False: False, "true": True, "false": False}


class PolicyError(LogServiceError, ValueError):
    """A policy document that cannot be honoured to the letter; the text says what is wrong, and where."""


class SourceIp(msgspec.Struct, frozen=True):
    """``IpAddress`` or, not ``inside``, ``NotIpAddress`` on ``aws:SourceIp``."""

    networks: tuple[IPv4Network | IPv6Network, ...]
    inside: bool


class Statement(msgspec.Struct, frozen=True):
    """One statement of a policy. ``secure_transport`` holds one set of values for each such condition."""

    denies: bool
    resources: tuple[re.Pattern[str], ...]
    source_ip: tuple[SourceIp, ...]
    secure_transport: tuple[frozenset[bool], ...]

    def applies(self, resource_arn: str, address: Address | None, secure: bool) -> bool:
        """Whether a resource matches and every condition holds; where one asks for the address, it is needed."""
        return (
            any(resource.fullmatch(resource_arn) for resource in self.resources)
            and all(any(address in network for network in each.networks) is each.inside for each in self.source_ip)
            and all(secure in values for values in self.secure_transport)
        )


def read_address(text: str) -> Address | None:
    """The address, ``None`` where the text is none. A socket for both families shows IPv4 callers as ``::ffff:…``."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def read_object(
    document: object, where: str, required: frozenset[str], optional: frozenset[str] = frozenset()
) -> Mapping[str, Any]:
    """The document, if it is an object with these elements and no other."""
    if not isinstance(document, Mapping):
        raise PolicyError(f"{where}: must be a JSON object.")
    unknown = document.keys() - required - optional
    if unknown:
        names = ", ".join(sorted(map(repr, unknown)))
        raise PolicyError(f"{where}: {names} is not supported; there may be {', '.join(sorted(required | optional))}.")
    missing = required - document.keys()
    if missing:
        raise PolicyError(f"{where}: {', '.join(sorted(missing))} is missing.")
    return document


def read_statement(document: object, where: str) -> Statement:
    """The statement of a decoded JSON value; raises ``PolicyError``, with ``where`` in its text."""
    elements = read_object(
        document, where, frozenset({"Effect", "Action", "Resource"}), frozenset({"Sid", "Condition"})
    )
    if not isinstance(elements.get("Sid", ""), str):
        raise PolicyError(f"{where}: Sid must be a string.")
    if elements["Effect"] not in ("Allow", "Deny"):
        raise PolicyError(f'{where}: Effect must be "Allow" or "Deny".')
    for action in _strings(elements["Action"], f"{where}: Action"):
        # An action that never matches would be a rule without effect, which nobody means to write.
        if not re.fullmatch(_glob(action, "."), ACTION, re.IGNORECASE):
            raise PolicyError(f"{where}: Action {action!r} does not match {ACTION}, the only one there is.")
    source_ip, secure_transport = _conditions(elements.get("Condition", {}), f"{where}: Condition")
    return Statement(
        denies=elements["Effect"] == "Deny",
        resources=tuple(_resource(each, where) for each in _strings(elements["Resource"], f"{where}: Resource")),
        source_ip=source_ip,
        secure_transport=secure_transport,
    )


def _strings(value: object, where: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    strings = [each for each in values if isinstance(each, str)]
    if not values or len(strings) != len(values):
        raise PolicyError(f"{where}: must be a string or a list of strings.")
    return strings


def _resource(text: str, where: str) -> re.Pattern[str]:
    """A resource's pattern. Each part of an ARN is matched alone; IAM allows no wildcard in the first three."""
    if "${" in text:
        raise PolicyError(f"{where}: Resource {text!r}: policy variables are not supported.")
    if text == "*":
        return re.compile(".*", re.DOTALL)
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[:3] != ["arn", "aws", "execute-api"] or not all(parts):
        raise PolicyError(
            f"{where}: Resource {text!r} is neither * nor of the form "
            "arn:aws:execute-api:REGION:ACCOUNT:API-ID/STAGE/METHOD/PATH."
        )
    region, account, path = (_glob(parts[3], "[^:]"), _glob(parts[4], "[^:]"), _glob(parts[5], "."))
    return re.compile(f"arn:aws:execute-api:{region}:{account}:{path}", re.DOTALL)


def _glob(pattern: str, any_character: str) -> str:
    """A regular expression for ``*`` and ``?`` that never takes more than length times length steps.

    Each piece between two stars is taken where it first fits, and kept (``(?>...)``): where the rest does not match
    behind the first place, it does not match behind any later one. What follows the last star ends the text.
    """
    first, *rest = (re.escape(piece).replace(r"\?", any_character) for piece in re.split(r"\*+", pattern))
    if not rest:
        return first
    *middle, last = rest
    return "".join([first, *(f"(?>{any_character}*?{piece})" for piece in middle), f"(?>{any_character}*{last})"])


def _conditions(document: object, where: str) -> tuple[tuple[SourceIp, ...], tuple[frozenset[bool], ...]]:
    source_ip: list[SourceIp] = []
    secure_transport: list[frozenset[bool]] = []
    for operator, key, values in _operators_and_keys(document, where):
        place = f"{where}: {operator} on {key}"
        # "Condition key names are not case-sensitive", says the reference.
        match operator, key.lower():
            case "IpAddress" | "NotIpAddress", "aws:sourceip":
                networks = tuple(_network(each, place) for each in _strings(values, place))
                source_ip.append(SourceIp(networks, inside=operator == "IpAddress"))
            case "Bool", "aws:securetransport":
                secure_transport.append(_booleans(values, place))
            case _:
                raise PolicyError(
                    f"{place} is not supported; there may be IpAddress and NotIpAddress on aws:SourceIp "
                    "and Bool on aws:SecureTransport."
                )
    return tuple(source_ip), tuple(secure_transport)


def _operators_and_keys(document: object, where: str) -> Iterator[tuple[str, str, object]]:
    if not isinstance(document, Mapping):
        raise PolicyError(f"{where}: must be a JSON object.")
    for operator, keys in document.items():
        if not isinstance(keys, Mapping) or not keys:
            raise PolicyError(f"{where}: {operator} must be a JSON object with a condition key.")
        for key, values in keys.items():
            yield operator, key, values


def _network(text: str, where: str) -> IPv4Network | IPv6Network:
    address, slash, length = text.partition("/")
    # Python would read a mask behind the slash too, which IAM does not, and callers are never in ::ffff:0:0/96.
    is_cidr = (not slash or length.isdecimal()) and getattr(read_address(address), "version", None) == (
        6 if ":" in address else 4
    )
    try:
        if is_cidr:
            return ip_network(text, strict=False)
    except ValueError:
        pass
    raise PolicyError(f"{where}: {text!r} is not an IPv4 or IPv6 address or CIDR block.")


def _booleans(value: object, where: str) -> frozenset[bool]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, bool | str) and each in _BOOLEANS for each in values):
        raise PolicyError(f'{where}: must be "true" or "false".')
    return frozenset(_BOOLEANS[each] for each in values)
