"""``python -m infra.manage bootstrap|deploy|destroy``: what changes an account. Each says what it will do, and asks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import botocore.session
import click
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError

from infra.cdk_cli import run_cdk
from infra.outputs import REGION_VARIABLE, stack_outputs, write_client_settings
from infra.preflight import ClientOf, problems, warnings
from infra.profiles import PROFILES, Profile, Refused, profile_of

ROOT = Path(__file__).parent.parent


class Tools(NamedTuple):
    """What the commands work with: the CDK, the package, the synthesis, the account, and where results go."""

    run_cdk: Callable[[Sequence[str]], int]
    build_package: Callable[[Profile], int]
    synthesize: Callable[[str, Sequence[str], Path], int]
    client_of: ClientOf
    output: Path


def build_package(profile: Profile) -> int:
    """Build the functions' code for the profile's architecture and Python, as ``make package`` does; its exit code."""
    which = ["--architecture", profile.architecture, "--python", profile.python_version]
    command = [sys.executable, "scripts/build_lambda.py", *which]
    return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - our own program


def synthesize(environment: str, context: Sequence[str], assembly: Path) -> int:
    """Write the templates in a process of its own, as ``make synth`` does; its exit code."""
    pairs = [part for pair in (f"env={environment}", *context) for part in ("-c", pair)]
    command = [sys.executable, "-m", "infra", *pairs, "--output", str(assembly)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - our own program


def own_tools() -> Tools:
    """The real ones."""
    return Tools(run_cdk, build_package, synthesize, own_clients(), ROOT / "cdk.out")


def own_clients() -> ClientOf:
    """Clients of the region that ``AWS_REGION`` names, else botocore's configuration: that reads another variable."""
    session = botocore.session.Session()
    region = os.environ.get(REGION_VARIABLE) or session.get_config_variable("region")

    def client_of(service: str) -> Any:
        if region is None:
            # botocore would let STS do without one.
            raise NoRegionError
        return session.create_client(service, region_name=region)

    return client_of


def environment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is meant."""
    command = click.option("-c", "context", multiple=True, metavar="KEY=VALUE", help="A setting; may be repeated.")(
        command
    )
    return click.option("--env", "environment", type=click.Choice(list(PROFILES)), required=True)(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.pass_context
def main(context: click.Context) -> None:
    """Manage a deployment of the AWS home."""
    context.obj = context.obj or own_tools()


@main.command()
@click.pass_obj
def bootstrap(tools: Tools) -> None:
    """Make the CDK's own bucket and roles, once for an account and region."""
    sts = _asked(lambda: tools.client_of("sts"))
    account, region = _asked(sts.get_caller_identity)["Account"], sts.meta.region_name
    _succeed(tools.run_cdk(["bootstrap", f"aws://{account}/{region}"]))


@main.command()
@environment_options
@click.pass_obj
def deploy(tools: Tools, environment: str, context: tuple[str, ...]) -> None:
    """Look whether it can be done, build the package, show what would change, ask, and deploy."""
    profile = _profile(environment, context)
    found = _asked(lambda: problems(profile, tools.client_of))
    if found:
        raise click.ClickException("This cannot be deployed:\n" + "\n".join(f"- {problem}" for problem in found))
    for warning in _asked(lambda: warnings(profile, tools.client_of)):
        click.echo(f"Warning: {warning}", err=True)
    _succeed(tools.build_package(profile))
    assembly = tools.output / environment
    _succeed(tools.synthesize(environment, context, assembly))
    _succeed(tools.run_cdk(["diff", "--all", "--app", str(assembly)]))
    click.confirm(f"Deploy {profile.prefix}?", abort=True)
    outputs_file = tools.output / "outputs.json"
    deployed = ["deploy", "--all", "--app", str(assembly), "--require-approval", "never"]
    _succeed(tools.run_cdk([*deployed, "--outputs-file", str(outputs_file)]))
    outputs = stack_outputs(outputs_file, profile.prefix)
    for name, value in outputs.items():
        click.echo(f"{name} {value}")
    source = write_client_settings(outputs, tools.output / f"{environment}.env")
    click.echo(f"\nFor clients in this shell: {source}")


@main.command()
@environment_options
@click.pass_obj
def destroy(tools: Tools, environment: str, context: tuple[str, ...]) -> None:
    """Say what goes and what stays, ask, and delete the stack."""
    profile = _profile(environment, context)
    click.echo("\n".join(what_happens(profile)))
    if click.prompt("Type the environment's name to go on", default="", show_default=False) != environment:
        raise click.Abort
    assembly = tools.output / environment
    _succeed(tools.synthesize(environment, context, assembly))
    _succeed(tools.run_cdk(["destroy", "--all", "--app", str(assembly), "--force"]))


def what_happens(profile: Profile) -> list[str]:
    """What becomes of each thing that holds data, in sentences."""
    return [
        f"This deletes the stack {profile.prefix}: API, functions, alarms, dashboard, rules, trail, and its own logs.",
        "The buckets of CloudTrail's and AWS Config's files stay, and so does API Gateway's role for logs.",
        *_what_happens_to_the_table(profile),
        *_what_happens_to_the_key(profile),
    ]


def _what_happens_to_the_table(profile: Profile) -> list[str]:
    table = profile.restored_table or profile.named("logs")
    if profile.restored_table is not None:
        return [f"The table {table} stays: it was restored, and is not the stack's own."]
    if profile.removal_policy == "retain":
        return [f"The table {table} stays; to use it again, deploy with -c restored_table={table}."]
    lines = [f"THE TABLE {table} GOES, WITH ALL RECORDS."]
    if profile.deletion_protection:
        lines.append(
            "Deletion protection keeps it from going, and the deletion from succeeding: first "
            f'make deploy ENV={profile.environment} CONTEXT="-c deletion_protection=false".'
        )
    return lines


def _what_happens_to_the_key(profile: Profile) -> list[str]:
    if profile.removal_policy == "retain":
        return ["The key and the vault of backups stay, and cost what they cost."]
    return [
        "A vault that still holds backups cannot go: delete its recovery points first.",
        "THE KEY GOES 30 DAYS LATER. Nothing that it seals can be read any more then:",
        "no backup, no file in those buckets, no table that was restored.",
    ]


def _profile(environment: str, context: Sequence[str]) -> Profile:
    pairs = [pair.partition("=") for pair in context]
    try:
        return profile_of(environment, {key: value for key, _, value in pairs})
    except Refused as refused:
        raise click.ClickException(str(refused)) from None


def _asked(ask: Callable[[], Any]) -> Any:
    """The account's answer; no credentials, no region and a refusal are told in one line."""
    try:
        return ask()
    except NoRegionError:
        raise click.ClickException(f"No region is set: set {REGION_VARIABLE}, as in eu-central-1.") from None
    except (BotoCoreError, ClientError) as error:
        raise click.ClickException(f"The account could not be asked: {error}") from None


def _succeed(exit_code: int) -> None:
    if exit_code:
        sys.exit(exit_code)


if __name__ == "__main__":
    main()
