"""The data folder: who may open it, and what is made in it at the first start.

DIR/                 0700, one server at a time
  lock
  encryption-key     the key-encryption key, unless the environment gives one
  access-keys.json   access keys, their secrets wrapped
  access-keys.lock   one writer of them at a time
  credentials        the administrator's key, for the client commands of this user
  logs/              the store
  erasures/          what an operator asks the server to erase, and its answers
  audit.ndjson       what was erased on purpose, by whom
"""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import SecretStr

from simple_log_service.api.policy import ADMIN
from simple_log_service.server.access_keys import KEYS_FILE_NAME, AccessKeyStore
from simple_log_service.server.files import make_private_dir, write_durably
from simple_log_service.server.key_provider import LocalKeyProvider, load_key_provider

ADMINISTRATOR = "administrator"


class DataDir:
    """An opened data folder: its key provider and its access keys. Raises ``OperatorError`` with what to do."""

    def __init__(self, path: Path, encryption_key: SecretStr | None) -> None:
        make_private_dir(path)
        self.path = path
        self.logs = path / "logs"
        self.credentials = path / "credentials"
        is_new = not self.logs.exists() and not (path / KEYS_FILE_NAME).exists()
        self.keys: LocalKeyProvider = load_key_provider(path, encryption_key, create=is_new)
        self.access_keys = AccessKeyStore(path, self.keys, time.time_ns)

    def prepare_first_start(self, region: str) -> None:
        """Make the administrator's key and the credentials file, where no server has run here before."""
        if self.logs.exists() or self.credentials.exists():
            return
        created = self.access_keys.create(ADMINISTRATOR, ADMIN)
        lines = [
            "# The administrator's access key. Keep this file to yourself.",
            "[default]",
            f"aws_access_key_id = {created.access_key_id}",
            f"aws_secret_access_key = {created.secret_access_key}",
            f"region = {region}",
        ]
        write_durably(self.credentials, ("\n".join(lines) + "\n").encode())
