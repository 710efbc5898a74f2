"""The restore drill as a check: the newest of the table restored into a scratch table, proved, and deleted again."""

from __future__ import annotations

from infra.restore.plan import RestoreRefused
from infra.restore.procedure import drill
from infra.smoke.findings import Check, NotHeld, NotTested, checks_of
from infra.smoke.scene import Scene


def restore_drill(scene: Scene) -> str:
    """The table can be restored from point-in-time recovery, whole and within the hour."""
    stack = scene.stack
    if not scene.may_restore:
        raise NotTested("it makes a table and takes up to an hour: give --restore-drill")
    heard: list[str] = []
    try:
        seconds = drill(
            stack.client("dynamodb"), stack.table, None, stack.profile.type_shards, heard.append, lambda _what: True
        )
    except RestoreRefused as refused:
        raise NotHeld(str(refused)) from None
    minutes = seconds / 60
    if minutes > 60:
        raise NotHeld(f"it took {minutes:.0f} minutes")
    return f"{minutes:.0f} minutes; {heard[-1]}"


DRILL_CHECKS: tuple[Check[Scene], ...] = checks_of("drill", restore_drill)
