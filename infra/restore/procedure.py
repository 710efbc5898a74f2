"""A restore from beginning to proof, and the drill that rehearses it; what follows a restore is the switch to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from infra.restore.plan import RestoreRefused, plan_restore
from infra.restore.proof import prove_newest, shortcomings
from infra.restore.steps import Restoration, Step

Confirm = Callable[[str], bool]
"""Gets what is about to be changed, and says whether it may be."""


class Declined(Exception):
    """A step was not agreed to."""


def restore(restoration: Restoration, shards: Mapping[str, int], confirm: Confirm) -> None:
    """Everything up to the switch: make the table, make it whole, prove it. Raises ``RestoreRefused``, ``Declined``.

    ``shards`` are the profile's ``type_shards``.
    """
    dynamodb, plan, say = restoration.dynamodb, restoration.plan, restoration.say
    began, *rest = restoration.steps()
    take(restoration, began, confirm)
    restoration.wait_until_restored()
    say(f"{plan.target} is restored")
    for step in rest:
        take(restoration, step, confirm)
    wrong = shortcomings(dynamodb, plan)
    if wrong:
        raise RestoreRefused(f"{plan.target} is not what {plan.source} is: {'; '.join(wrong)}.")
    say("described: key, index, encryption, time to live, recovery, protection and tags are those of the source")
    say(prove_newest(dynamodb, plan, shards))


def drill(
    dynamodb: Any,
    table: str,
    moment: datetime | None,
    shards: Mapping[str, int],
    say: Callable[[str], None],
    confirm: Confirm,
) -> float:
    """Restore into a scratch table, prove it, delete it; the seconds that it took. Raises what ``restore`` raises."""
    began = time.monotonic()
    plan = plan_restore(dynamodb, table, moment, is_drill=True)
    restoration = Restoration(dynamodb, plan, say)
    restore(restoration, shards, confirm)
    restoration.delete_drill()
    return time.monotonic() - began


def take(restoration: Restoration, step: Step, confirm: Confirm) -> None:
    """Do a step that is not done yet, if it is agreed to. Raises ``Declined``."""
    if restoration.is_done(step):
        restoration.say(f"done already: {step.what}")
        return
    if not confirm(step.what):
        raise Declined(step.what)
    restoration.run(step)
    restoration.say(f"done: {step.what}")
