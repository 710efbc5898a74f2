"""Restore the table of logs: ``python -m infra.restore --env prod --to 2026-01-31T12:00:00Z`` (or ``--to latest``).

A new table from point-in-time recovery, made whole again, proved, and then switched to by a deploy. The table that is
in use stays as it is until that deploy, and is there afterwards. Each step that changes something asks first; running
the command again goes on where it was interrupted. ``--drill`` proves all of it but the switch, and cleans up.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from infra.profiles import PROFILES, Profile, Refused, profile_of
from infra.restore_plan import Plan, RestoreRefused, parse_moment, plan_restore
from infra.restore_proof import prove_newest, shortcomings
from infra.restore_steps import Restoration, Step

EXIT_REFUSED = 1
EXIT_DECLINED = 3
"""Somebody said no; running it again goes on from there."""

Say = Callable[[str], None]
Confirm = Callable[[str], bool]


class Declined(Exception):
    """A step was not agreed to."""


def switch_command(environment: str, table: str, context: Sequence[str] = ()) -> list[str]:
    """The deploy that lets functions, grants, alarms, autoscaling and backups follow a table.

    ``context`` are the deployment's other settings: one that is left out would be back at its default.
    """
    settings = [each for each in context if not each.startswith("restored_table=")]
    options = " ".join(f"-c {shlex.quote(each)}" for each in (*settings, f"restored_table={table}"))
    # Make expands a dollar sign, and then the shell reads the rest.
    return ["make", "deploy", f"ENV={environment}", f"CONTEXT={options.replace('$', '$$')}"]


def restore(restoration: Restoration, dynamodb: Any, plan: Plan, profile: Profile, say: Say, confirm: Confirm) -> None:
    """Everything up to the switch: make the table, make it whole, prove it. Raises ``RestoreRefused``, ``Declined``."""
    began, *rest = restoration.steps()
    _take(restoration, began, say, confirm)
    restoration.wait_until_restored()
    say(f"{plan.target} is restored")
    for step in rest:
        _take(restoration, step, say, confirm)
    wrong = shortcomings(dynamodb, plan)
    if wrong:
        raise RestoreRefused(f"{plan.target} is not what {plan.source} is: {'; '.join(wrong)}.")
    say("described: key, index, encryption, time to live, recovery, protection and tags are those of the source")
    say(prove_newest(dynamodb, plan, profile.type_shards))


def _take(restoration: Restoration, step: Step, say: Say, confirm: Confirm) -> None:
    if restoration.is_done(step):
        say(f"done already: {step.what}")
        return
    if not confirm(step.what):
        raise Declined(step.what)
    restoration.run(step)
    say(f"done: {step.what}")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--env", "environment", type=click.Choice(sorted(PROFILES)), required=True, help="Which environment.")
@click.option("--to", "moment", default="latest", show_default=True, help="RFC 3339 with an offset, or latest.")
@click.option("--source", help="The table to restore; else the environment's own, or its restored_table.")
@click.option("-c", "context", multiple=True, metavar="KEY=VALUE", help="A setting, as in the deploy.")
@click.option("--region", help="AWS region; else the configured one.")
@click.option("--profile", "aws_profile", help="Profile of the AWS configuration.")
@click.option("--drill", is_flag=True, help="Restore into a scratch table, prove it, delete it; no switch.")
@click.option("--yes", is_flag=True, help="Ask nothing; the deploy asks for itself.")
def main(
    environment: str,
    moment: str,
    source: str | None,
    context: tuple[str, ...],
    region: str | None,
    aws_profile: str | None,
    *,
    drill: bool,
    yes: bool,
) -> None:
    """Restore the table of logs from point-in-time recovery, prove it, and switch to it."""

    def confirm(what: str) -> bool:
        return yes or click.confirm(f"Shall I {what}?", err=True)

    try:
        profile = profile_of(environment, dict(each.partition("=")[::2] for each in context))
        dynamodb = _client(region, aws_profile)
        table = source or profile.restored_table or profile.named("logs")
        plan = plan_restore(dynamodb, table, parse_moment(moment), is_drill=drill)
        restoration = Restoration(dynamodb, plan, _say)
        began = time.monotonic()
        restore(restoration, dynamodb, plan, profile, _say, confirm)
        if drill:
            restoration.delete_drill()
            _say(f"the drill took {(time.monotonic() - began) / 60:.0f} minutes, and left nothing behind")
            return
        _switch(restoration, plan, environment, context, confirm)
    except (RestoreRefused, Refused, BotoCoreError, ClientError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(EXIT_REFUSED)
    except Declined as step:
        click.echo(f"Stopped before: {step}. Run it again to go on.", err=True)
        sys.exit(EXIT_DECLINED)


def _switch(restoration: Restoration, plan: Plan, environment: str, context: Sequence[str], confirm: Confirm) -> None:
    """Protect the old table, then deploy with the new one, or say how."""
    _take(restoration, restoration.protect_source(), _say, confirm)
    restoration.mark_verified()
    command = switch_command(environment, plan.target, context)
    back = shlex.join(switch_command(environment, plan.source, context))
    click.echo(shlex.join(command))
    if confirm(f"deploy now, so that everything follows {plan.target}") and run(command):
        raise RestoreRefused(f"the deploy failed: repeat it with {shlex.join(command)}")
    _say(f"{plan.source} stays, protected. To go back to it: {back}")


def run(command: list[str]) -> int:
    """Run a command of this module's own making, and give its exit code."""
    return subprocess.run(command, check=False).returncode  # noqa: S603 - nothing in it comes from elsewhere


def _client(region: str | None, aws_profile: str | None) -> Any:
    region = region or os.environ.get("AWS_REGION")
    patient = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=5, read_timeout=30)
    return Session(profile=aws_profile).create_client("dynamodb", region_name=region, config=patient)


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
