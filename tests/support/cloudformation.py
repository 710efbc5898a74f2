"""Reading CloudFormation templates: resources by type, and references as text, so that a test can say what it expects.

``{Region}`` stands for the pseudo parameter, ``{EncryptionKey.Arn}`` for an attribute of a resource, ``{ApiRest}`` for
its reference; the hash at the end of the CDK's logical ids is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Template = Mapping[str, Any]

_HASH = re.compile(r"[0-9A-F]{8}$")


def resources(template: Template, resource_type: str) -> dict[str, Any]:
    """All resources of a type, by logical id without its hash, with their references as text."""
    return {
        short(logical_id): as_text(resource)
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == resource_type
    }


def properties(template: Template, resource_type: str, logical_id: str | None = None) -> dict[str, Any]:
    """The properties of the one resource of a type, or of the one with this id."""
    found = resources(template, resource_type)
    if logical_id is None:
        assert len(found) == 1, f"{sorted(found)} are of the type {resource_type}"
        (logical_id,) = found
    return dict(found[logical_id].get("Properties", {}))


def as_text(value: Any) -> Any:
    """The value with every reference in it replaced by text."""
    if isinstance(value, list):
        return [as_text(item) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": str(name), **rest} if not rest:
            return "{" + (name.removeprefix("AWS::") if "::" in name else short(name)) + "}"
        case {"Fn::GetAtt": [logical_id, attribute]}:
            return f"{{{short(logical_id)}.{attribute}}}"
        case {"Fn::Join": [separator, parts]}:
            return separator.join(str(as_text(part)) for part in parts)
        case {"Fn::Sub": str(text)}:
            return text.replace("${AWS::", "{").replace("${", "{")
    return {key: as_text(item) for key, item in value.items()}


def short(logical_id: str) -> str:
    """A logical id without the CDK's hash."""
    return _HASH.sub("", logical_id)


def statements(document: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...], tuple[str, ...], Any]]:
    """The statements of a policy as rows: effect, actions, resources, condition."""
    return [
        (row["Effect"], _many(row["Action"]), _many(row.get("Resource", ())), row.get("Condition"))
        for row in document["Statement"]
    ]


def _many(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
