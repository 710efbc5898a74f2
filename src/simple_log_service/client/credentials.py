"""Where credentials come from: the sources that AWS's own tools read, in their order.

Environment variables first, then botocore's whole chain where botocore is installed (profiles, roles, SSO, container
and instance credentials), else the access keys in the shared files. Credentials are asked for at each
request, since temporary ones are renewed while a program runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from configparser import Error as ConfigParserError
from configparser import RawConfigParser
from pathlib import Path

from simple_log_service.api.signer import Credentials
from simple_log_service.client.errors import NotConfigured
from simple_log_service.client.local_endpoint import home

CredentialsProvider = Callable[[], Credentials]

PROFILE_DEFAULT = "default"


def standard_chain(profile: str | None, environ: Mapping[str, str]) -> CredentialsProvider:
    """The standard sources; a ``profile`` that was asked for by name leaves the environment's keys out.

    Raises ``NotConfigured`` where there are none, at once or, where botocore renews them, at a later request.
    """
    if profile is None:
        from_environment = environment_credentials(environ)
        if from_environment is not None:
            return lambda: from_environment
    from_botocore = _botocore_provider(profile)
    if from_botocore is not None:
        return from_botocore
    from_files = _profile_credentials(profile or environ.get("AWS_PROFILE") or PROFILE_DEFAULT, environ)
    return lambda: from_files


def environment_credentials(environ: Mapping[str, str]) -> Credentials | None:
    """The key in ``AWS_ACCESS_KEY_ID`` and the variables beside it, if there is one."""
    access_key_id = environ.get("AWS_ACCESS_KEY_ID")
    if not access_key_id:
        return None
    secret_access_key = environ.get("AWS_SECRET_ACCESS_KEY")
    if not secret_access_key:
        raise NotConfigured("AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not: set both or neither.")
    return Credentials(access_key_id, secret_access_key, environ.get("AWS_SESSION_TOKEN") or None)


def file_credentials(path: Path, profile: str = PROFILE_DEFAULT) -> Credentials:
    """The key of a profile in one file of the form of ``~/.aws/credentials``."""
    try:
        credentials = _key_of(_read(path).get(profile, {}))
    except FileNotFoundError:
        credentials = None
    if credentials is None:
        raise NotConfigured(f"The file {path} holds no access key for the profile {profile!r}.")
    return credentials


def checked(credentials: Credentials) -> Credentials:
    """The credentials, if they can stand in a header: an HTTP library's own error would quote them."""
    parts = (credentials.access_key_id, credentials.secret_access_key, credentials.session_token or "-")
    if all(part.isascii() and part.isprintable() and part == part.strip() and part for part in parts):
        return credentials
    raise NotConfigured("The credentials hold white space or characters that no access key has: check their source.")


def configured_region(profile: str | None, environ: Mapping[str, str]) -> str | None:
    """The region of the environment or of the profile in the configuration file, if either names one."""
    from_environment = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if from_environment and profile is None:
        return from_environment
    name = profile or environ.get("AWS_PROFILE") or PROFILE_DEFAULT
    try:
        return _config_section(name, environ).get("region") or from_environment or None
    except NotConfigured:
        # Whoever needs this file for credentials is told; a region can come from elsewhere.
        return from_environment or None


def _profile_credentials(profile: str, environ: Mapping[str, str]) -> Credentials:
    configured = environ.get("AWS_SHARED_CREDENTIALS_FILE")
    path = Path(configured).expanduser() if configured else home(environ) / ".aws" / "credentials"
    section = _config_section(profile, environ)
    credentials = _key_of(_read_if_there(path).get(profile, {})) or _key_of(section)
    if credentials is not None:
        return credentials
    if section.keys() & {"role_arn", "sso_session", "sso_start_url", "credential_process"}:
        raise NotConfigured(
            f"The profile {profile!r} needs AWS's library: install it (pip install 'simple-log-service[aws]')."
        )
    raise _no_credentials(profile)


def _config_section(profile: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    configured = environ.get("AWS_CONFIG_FILE")
    path = Path(configured).expanduser() if configured else home(environ) / ".aws" / "config"
    name = PROFILE_DEFAULT if profile == PROFILE_DEFAULT else f"profile {profile}"
    return _read_if_there(path).get(name, {})


def _read_if_there(path: Path) -> Mapping[str, Mapping[str, str]]:
    try:
        return _read(path)
    except FileNotFoundError:
        return {}


def _read(path: Path) -> Mapping[str, Mapping[str, str]]:
    parser = RawConfigParser(strict=False)
    try:
        parser.read_string(path.read_text("utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NotConfigured(f"The file {path} cannot be read: {error.strerror}.") from None
    except (ConfigParserError, UnicodeDecodeError):
        # The parser's own words would quote the line, and with it maybe a secret.
        raise NotConfigured(f"The file {path} is not in the form of ~/.aws/credentials.") from None
    return {name: dict(parser[name]) for name in parser.sections()}


def _key_of(section: Mapping[str, str]) -> Credentials | None:
    access_key_id, secret_access_key = section.get("aws_access_key_id"), section.get("aws_secret_access_key")
    if not access_key_id or not secret_access_key:
        return None
    return Credentials(access_key_id, secret_access_key, section.get("aws_session_token") or None)


def _botocore_provider(profile: str | None) -> CredentialsProvider | None:
    """The chain of botocore, or ``None`` where botocore is not installed."""
    try:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - optional, and slow to import
        from botocore.session import Session  # noqa: PLC0415 - the same
    except ImportError:
        return None
    try:
        renewable = Session(profile=profile).get_credentials()
    except BotoCoreError as error:
        raise NotConfigured(f"AWS's library finds no credentials: {error}.") from None
    if renewable is None:
        raise _no_credentials(profile)

    def credentials() -> Credentials:
        try:
            frozen = renewable.get_frozen_credentials()
        except BotoCoreError as error:
            raise NotConfigured(f"AWS's library cannot renew the credentials: {error}.") from None
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    return credentials


def _no_credentials(profile: str | None) -> NotConfigured:
    of_profile = f" for the profile {profile!r}" if profile else ""
    return NotConfigured(
        f"No credentials were found{of_profile}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of "
        "~/.aws/credentials; for a local server, `simple-log-service keys create` makes a key."
    )
