"""The restore drill as a check: the newest of the table restored into a scratch table, proved, and deleted again."""

from __future__ import annotations

import time

from infra.restore import restore
from infra.restore_plan import RestoreRefused, plan_restore
from infra.restore_steps import Restoration
from infra.smoke.findings import Check, NotHeld, NotTested, checks_of
from infra.smoke.scene import Scene


def restore_drill(scene: Scene) -> str:
    """The table can be restored from point-in-time recovery, whole and within the hour."""
    stack = scene.stack
    if not scene.may_restore:
        raise NotTested("it makes a table and takes up to an hour: give --restore-drill")
    dynamodb = stack.client("dynamodb")
    began = time.monotonic()
    heard: list[str] = []
    try:
        plan = plan_restore(dynamodb, stack.table, None, is_drill=True)
        restoration = Restoration(dynamodb, plan, heard.append)
        restore(restoration, dynamodb, plan, stack.profile, heard.append, lambda _what: True)
        restoration.delete_drill()
    except RestoreRefused as refused:
        raise NotHeld(str(refused)) from None
    minutes = (time.monotonic() - began) / 60
    if minutes > 60:
        raise NotHeld(f"it took {minutes:.0f} minutes")
    return f"{minutes:.0f} minutes; {heard[-1]}"


DRILL_CHECKS: tuple[Check[Scene], ...] = checks_of("drill", restore_drill)
