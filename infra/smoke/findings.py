"""Checks and what they find: a check returns what it saw, or raises why the belief did not hold or was not tested.

The rules: no check ends the run; nothing that a finding shows holds a secret, whatever an answer may have quoted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from http.client import HTTPException
from typing import Generic, NamedTuple, TypeVar

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

Scene = TypeVar("Scene")

SEEN_CHARS_MAX = 600
"""Of what a check saw: an answer's body may be megabytes."""
_MAY_NOT = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})


class NotHeld(Exception):
    """The stack does something else; the message says what was seen."""


class NotTested(Exception):
    """The check could not be made; the message says why, and what would make it possible."""


class Outcome(StrEnum):
    """What came of a check."""

    HELD = "held"
    NOT_HELD = "did not hold"
    NOT_TESTED = "not tested"


class Check(NamedTuple, Generic[Scene]):
    """One belief and how to look: ``run`` returns what it saw, or raises ``NotHeld`` or ``NotTested``."""

    group: str
    name: str
    belief: str
    run: Callable[[Scene], str]


class Finding(msgspec.Struct, frozen=True):
    """What came of one check; ``seen`` is short and free of secrets."""

    group: str
    name: str
    belief: str
    outcome: Outcome
    seen: str
    seconds: float


def checks_of(group: str, *functions: Callable[[Scene], str]) -> tuple[Check[Scene], ...]:
    """A check for each function: named as it is, and believing what its docstring says."""
    return tuple(Check(group, each.__name__, str(each.__doc__), each) for each in functions)


def run_checks(checks: Iterable[Check[Scene]], scene: Scene, redact: Callable[[str], str]) -> Iterator[Finding]:
    """Run each check in turn. ``redact`` is applied to everything that was seen, before it is cut to length."""
    for check in checks:
        began = time.monotonic()
        outcome, seen = _outcome_of(check, scene)
        text = redact(seen)
        if len(text) > SEEN_CHARS_MAX:
            text = f"{text[:SEEN_CHARS_MAX]}… ({len(text):,} characters)"
        yield Finding(check.group, check.name, check.belief, outcome, text, round(time.monotonic() - began, 3))


def _outcome_of(check: Check[Scene], scene: Scene) -> tuple[Outcome, str]:
    try:
        return Outcome.HELD, check.run(scene)
    except NotTested as why:
        return Outcome.NOT_TESTED, str(why)
    except NotHeld as seen:
        return Outcome.NOT_HELD, str(seen)
    except ClientError as error:
        if error.response["Error"]["Code"] in _MAY_NOT:
            return Outcome.NOT_TESTED, f"you may not call {error.operation_name}"
        return Outcome.NOT_HELD, str(error)
    except (OSError, HTTPException, BotoCoreError) as error:
        return Outcome.NOT_HELD, f"no answer: {type(error).__name__}: {error}"
    except (LookupError, TypeError, ValueError) as error:
        return Outcome.NOT_HELD, f"an answer of another form: {type(error).__name__}: {error}"


def expect(holds: object, seen: object) -> None:
    """Raise ``NotHeld`` with what was seen, unless it holds."""
    if not holds:
        raise NotHeld(str(seen))
