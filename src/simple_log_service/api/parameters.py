"""Query parameters: from the raw text of the request line to a ``Query``.

A parameter that the route does not know, or one given twice, is refused: a filter that is spelled wrong must not
silently become no filter. Where a route takes filters, ``metadata.KEY`` is a parameter for every KEY.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from msgspec.structs import replace

from simple_log_service.core import limits
from simple_log_service.core.cursor import resume
from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.levels import LEVELS, canonical_level
from simple_log_service.core.query import Query
from simple_log_service.core.search import Search
from simple_log_service.core.timestamps import DURATION_UNITS_NS, TIMESTAMP_NS_MAX, parse_epoch, parse_rfc3339
from simple_log_service.core.validation import name_error

FILTERS = frozenset(("service_name", "log_type", "level", "hours", "since", "until", "q", "pattern"))
"""What every route that reads records can be narrowed by, ``metadata.KEY`` beside them."""
RECENT = FILTERS | {"limit", "cursor"}
_FIELD = "metadata."

_AGO = re.compile(r"([0-9]{1,9})([smhd])")
_INTEGER = re.compile(r"[0-9]{1,9}")


def parse_parameters(query: str, known: frozenset[str]) -> dict[str, str]:
    """The decoded parameters by name; ``InvalidRequest`` for one that is unknown, repeated or not UTF-8.

    Where ``known`` holds the filters, fields of the metadata are known too.
    """
    parameters: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        # As SigV4 reads it, a plus sign is itself and never a space.
        name, _, value = part.partition("=")
        try:
            name, value = unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()
        except UnicodeError:
            raise InvalidRequest("The query string is not UTF-8.") from None
        if name not in known and not ("q" in known and name.startswith(_FIELD)):
            raise InvalidRequest(f"Unknown parameter: {name[:64]}")
        if name in parameters:
            raise InvalidRequest(f"{name[:64]} is given twice.")
        parameters[name] = value
    return parameters


def recent_query(query: str, service_name: str | None, now_ns: int) -> Query:
    """The query of ``GET /logs/recent``, or of one service's logs where the path names it."""
    given = parse_parameters(query, RECENT if service_name is None else RECENT - {"service_name"})
    asked = filters_query(given, service_name, now_ns)
    limit = _integer(given, "limit", limits.PAGE_RECORDS_DEFAULT, limits.PAGE_RECORDS_MAX)
    asked = replace(asked, limit=limit)
    return resume(asked, given["cursor"]) if "cursor" in given else asked


def filters_query(given: Mapping[str, str], service_name: str | None, now_ns: int) -> Query:
    """The range and the filters among the parameters that were given, as a query; ``InvalidRequest``."""
    asked = Query(
        since_ns=_since(given, now_ns),
        until_ns=_moment("until", given["until"], now_ns) if "until" in given else None,
        service_name=service_name or _name(given, "service_name", limits.SERVICE_NAME_CHARS_MAX),
        log_type=_name(given, "log_type", limits.LOG_TYPE_CHARS_MAX),
        level=_level(given),
        search=_search(given),
    )
    if asked.until_ns is not None and asked.until_ns <= asked.since_ns:
        raise InvalidRequest("since must be before until.")
    return asked


def _search(given: Mapping[str, str]) -> Search | None:
    # In one order, so that a cursor fits however the parameters are ordered.
    fields = sorted((name.removeprefix(_FIELD), value) for name, value in given.items() if name.startswith(_FIELD))
    q, pattern = given.get("q"), given.get("pattern")
    if q is None and pattern is None and not fields:
        return None
    return Search(q, pattern, tuple(fields))


def _since(given: Mapping[str, str], now_ns: int) -> int:
    if "since" in given and "hours" in given:
        raise InvalidRequest("Give either hours or since, not both.")
    if "since" in given:
        return _moment("since", given["since"], now_ns)
    hours = _integer(given, "hours", limits.READ_HOURS_DEFAULT, limits.READ_HOURS_MAX)
    return now_ns - hours * limits.HOUR_NS


def _moment(name: str, text: str, now_ns: int) -> int:
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return max(0, now_ns - int(ago[1]) * DURATION_UNITS_NS[ago[2]])
    try:
        # A moment before or after all that a record can have means as much as the first or the last.
        return min(max(0, parse_rfc3339(text) if "-" in text else parse_epoch(text)), TIMESTAMP_NS_MAX)
    except ValueError:
        raise InvalidRequest(
            f"{name} must be RFC 3339 with an offset, a number since the epoch, or like 10m, 2h, 3d."
        ) from None


def _name(given: Mapping[str, str], name: str, chars_max: int) -> str | None:
    value = given.get(name)
    error = None if value is None else name_error(value, chars_max)
    if error is not None:
        raise InvalidRequest(f"{name} {error}.")
    return value


def _level(given: Mapping[str, str]) -> str | None:
    if "level" not in given:
        return None
    level = canonical_level(given["level"])
    if level is None:
        raise InvalidRequest(f"level must be one of {', '.join(LEVELS)}.")
    return level


def _integer(given: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    if _INTEGER.fullmatch(text) is None or not 1 <= int(text) <= most:
        raise InvalidRequest(f"{name} must be a whole number from 1 to {most}.")
    return int(text)
