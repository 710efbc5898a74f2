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
from collections.abc import Sequence
from typing import Any

import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from infra.profiles import PROFILES, Refused, profile_of
from infra.restore import procedure
from infra.restore.plan import RestoreRefused, parse_moment, plan_restore
from infra.restore.procedure import Confirm, Declined, take
from infra.restore.steps import Restoration

EXIT_REFUSED = 1
EXIT_DECLINED = 3
"""Somebody said no; running it again goes on from there."""


def switch_command(environment: str, table: str, context: Sequence[str] = ()) -> list[str]:
    """The deploy that lets functions, grants, alarms, autoscaling and backups follow a table.

    ``context`` are the deployment's other settings: one that is left out would be back at its default.
    """
    settings = [each for each in context if not each.startswith("restored_table=")]
    options = " ".join(f"-c {shlex.quote(each)}" for each in (*settings, f"restored_table={table}"))
    # Make expands a dollar sign, and then the shell reads the rest.
    return ["make", "deploy", f"ENV={environment}", f"CONTEXT={options.replace('$', '$$')}"]


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
        if drill:
            seconds = procedure.drill(dynamodb, table, parse_moment(moment), profile.type_shards, _say, confirm)
            _say(f"the drill took {seconds / 60:.0f} minutes, and left nothing behind")
            return
        plan = plan_restore(dynamodb, table, parse_moment(moment), is_drill=False)
        restoration = Restoration(dynamodb, plan, _say)
        procedure.restore(restoration, profile.type_shards, confirm)
        _switch(restoration, environment, context, confirm)
    except (RestoreRefused, Refused, BotoCoreError, ClientError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(EXIT_REFUSED)
    except Declined as step:
        click.echo(f"Stopped before: {step}. Run it again to go on.", err=True)
        sys.exit(EXIT_DECLINED)


def _switch(restoration: Restoration, environment: str, context: Sequence[str], confirm: Confirm) -> None:
    """Protect the old table, then deploy with the new one, or say how."""
    plan = restoration.plan
    take(restoration, restoration.protect_source(), confirm)
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
