"""``python -m infra.smoke --env dev``: ask a deployed stack everything, and fail where something does not hold."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import click
import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from infra.assumptions import Signer
from infra.profiles import PROFILES, Refused, profile_of
from infra.smoke.beliefs import BELIEF_CHECKS
from infra.smoke.contract_ingest import INGEST_CHECKS
from infra.smoke.contract_read import READ_CHECKS
from infra.smoke.deployed_api import API_CHECKS
from infra.smoke.deployed_table import TABLE_CHECKS
from infra.smoke.deployed_watch import WATCH_CHECKS
from infra.smoke.drill import DRILL_CHECKS
from infra.smoke.findings import Check, Finding, run_checks
from infra.smoke.keys import NoCredentials, gather
from infra.smoke.report import Report, as_json, print_table
from infra.smoke.scene import Scene
from infra.smoke.stack import NoStack, Stack
from simple_log_service.client.endpoint import Endpoint
from simple_log_service.client.errors import NotConfigured

EXIT_NOT_HELD = 1
EXIT_NOT_RUN = 2
REGION_DEFAULT = "us-east-1"

CHECKS: tuple[Check[Scene], ...] = (
    *INGEST_CHECKS, *READ_CHECKS, *BELIEF_CHECKS, *API_CHECKS, *TABLE_CHECKS, *WATCH_CHECKS, *DRILL_CHECKS,
)  # fmt: skip
GROUPS = tuple(dict.fromkeys(check.group for check in CHECKS))


class Options(msgspec.Struct, frozen=True):
    """The command line, as it was typed."""

    environment: str | None
    endpoint: str | None
    context: tuple[str, ...]
    region: str | None
    aws_profile: str | None
    role: str | None
    expired_profile: str | None
    long_lived_profile: str | None
    groups: tuple[str, ...]
    throttle: bool
    restore_drill: bool
    wants_json: bool


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--env", "environment", type=click.Choice(sorted(PROFILES)), help="The environment that is deployed.")
@click.option("--endpoint", help="An endpoint alone, instead of a stack: what lies behind it is not looked at.")
@click.option("-c", "context", multiple=True, metavar="KEY=VALUE", help="A setting, as in the deploy.")
@click.option("--region", help="AWS region; else the configured one.")
@click.option("--profile", "aws_profile", help="Profile of the AWS configuration.")
@click.option("--role", metavar="ARN", help="A role to ask as; it can be held to less by the stack's policies.")
@click.option("--expired-profile", help="A profile with a session that is over, to see it refused.")
@click.option("--long-lived-profile", help="A profile with an IAM user's key, to see it refused.")
@click.option("--group", "groups", multiple=True, type=click.Choice(GROUPS), help="Only these checks; repeat for more.")
@click.option("--throttle", is_flag=True, help="Also send 8,000 requests, to see one refused (about three cents).")
@click.option("--restore-drill", is_flag=True, help="Also restore the table into a scratch one, and delete that.")
@click.option("--json", "wants_json", is_flag=True, help="Print JSON.")
def main(**given: Any) -> None:
    """Ask a deployed stack whether it is what its documentation says.

    Your credentials come from the usual AWS sources and must be temporary. Exit codes: 0 all that was tested held,
    1 something did not, 2 it could not be asked at all.
    """
    options = Options(**given)
    if (options.environment is None) == (options.endpoint is None):
        raise click.UsageError("Give either --env or --endpoint.")
    try:
        scene = scene_of(options)
    except (NoStack, NoCredentials, NotConfigured, Refused, BotoCoreError, ClientError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(EXIT_NOT_RUN)
    report = run(scene, [check for check in CHECKS if not options.groups or check.group in options.groups])
    if options.wants_json:
        sys.stdout.buffer.write(as_json(report) + b"\n")
    else:
        print_table(report, sys.stdout)
    sys.exit(EXIT_NOT_HELD if report.failed else 0)


def scene_of(options: Options) -> Scene:
    """The endpoint, the keys and the stack that the command line names. Raises what ``main`` reports."""
    session = Session(profile=options.aws_profile)
    region = options.region or os.environ.get("AWS_REGION") or session.get_config_variable("region") or REGION_DEFAULT
    stack, endpoint = None, options.endpoint
    policies: Mapping[Signer, str] = {}
    if options.environment is not None:
        context = dict(each.partition("=")[::2] for each in options.context)
        stack = Stack(session, region, profile_of(options.environment, context))
        endpoint, policies = stack.endpoint, stack.caller_policies
    assert endpoint is not None, "without an environment there is an endpoint"
    bad: dict[Signer, str | None] = {"expired": options.expired_profile, "long_lived": options.long_lived_profile}
    keys = gather(session, region, options.role, policies, {signer: each for signer, each in bad.items() if each})
    return Scene(
        Endpoint.parse(endpoint),
        region,
        keys,
        stack=stack,
        may_throttle=options.throttle,
        may_restore=options.restore_drill,
    )


def run(scene: Scene, checks: Iterable[Check[Scene]]) -> Report:
    """Run checks, with a line of progress for each on standard error where somebody watches."""
    findings: list[Finding] = []
    for finding in run_checks(checks, scene, scene.redact):
        findings.append(finding)
        if sys.stderr.isatty():
            click.echo(f"{finding.outcome}: {finding.group} {finding.name}", err=True)
    return Report(scene.endpoint.url, scene.service(), scene.budget.requests, findings)


if __name__ == "__main__":
    main()
