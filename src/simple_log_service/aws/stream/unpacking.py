"""From a change of the table, as its Kinesis stream brings it, to the records that it added.

Records stand in plain items, in entries with a frame of their own, and in bodies. An entry that points to a body says
nothing that its body does not say, and the body comes by itself. Removals (expiry, above all) take nothing away from
what was sent on, and claims, markers and the registry of types hold no records.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from simple_log_service.core.record import Record
from simple_log_service.stores.dynamodb.items import records_in


class Unreadable(Exception):
    """What the stream brought is no change of the table, or its item is damaged; no repeat will help."""


class _Change(msgspec.Struct, rename="pascal"):
    """The item as it is now; none where it was removed."""

    new_image: dict[str, dict[str, Any]] | None = None


class _Event(msgspec.Struct):
    dynamodb: _Change


_EVENT = msgspec.json.Decoder(_Event)


def unpack(data: str) -> Sequence[Record]:
    """The records that a change added; none for a removal, and for items without records.

    ``data`` is a stream record's data as Lambda hands it over: base64 of the change in JSON. Raises ``Unreadable``.
    """
    try:
        image = _EVENT.decode(base64.b64decode(data, validate=True)).dynamodb.new_image
        if image is None:
            return ()
        item = {name: _low_level(value) for name, value in image.items()}
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        raise Unreadable(f"not a change of the table ({type(error).__name__})") from None
    try:
        return records_in(item)
    except Exception as error:  # noqa: BLE001 - whatever breaks on one item must not hold up the others
        raise Unreadable(f"a damaged item ({type(error).__name__})") from None


def _low_level(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A value as DynamoDB's API answers it: binary as bytes, where the stream has base64."""
    return {"B": base64.b64decode(value["B"], validate=True)} if "B" in value else value
