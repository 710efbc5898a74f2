"""What a thief of the disk can read: nothing that callers sent, and no secret but in the one file made to hold it."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.server_process import ServerProcess
from support.stores import KEYS, SetClock, batch_of, open_embedded

WORDS = {
    "message": "zwiebelkuchen-mit-speck",
    "service_name": "wunderwaffel-service",
    "log_type": "quarkspeise-log",
    "metadata key": "knoblauchbrot_key",
    "metadata value": "pfefferminztee-value",
    "log_id": "kirschstreusel-id",
    "idempotency key": "apfelstrudel-key",
    "rejected": "dampfnudel-rejected",
    "unknown field": "grießbrei_field",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data") as running:
        yield running


def traffic(server: ServerProcess) -> list[str]:
    """Send every kind of text in every way; gives what must not be found, as text."""
    record = {
        "service_name": WORDS["service_name"],
        "log_type": WORDS["log_type"],
        "message": WORDS["message"],
        "metadata": {WORDS["metadata key"]: WORDS["metadata value"]},
    }
    bad = {**record, "level": WORDS["rejected"]}
    own_id = {**record, "log_id": WORDS["log_id"], WORDS["unknown field"]: 1}
    key = [("Idempotency-Key", WORDS["idempotency key"])]
    answers = [server.request("POST", "/logs", json.dumps(record).encode()) for _ in range(3)]
    answers.append(server.request("POST", "/logs", json.dumps([record, bad, own_id]).encode(), headers=key))
    answers.append(server.request("POST", "/logs", json.dumps([record, bad, own_id]).encode(), headers=key))
    answers.append(server.request("POST", "/logs", json.dumps(own_id).encode()))
    answers.append(server.request("POST", "/logs", json.dumps([record] * 2000).encode()))
    assert [answer.status for answer in answers] == [201] * 7
    found = server.request("GET", "/logs/recent?limit=10&since=0")
    assert found.status == 200
    generated = [log["log_id"] for log in json.loads(found.body)["logs"] if log["log_id"] != WORDS["log_id"]]
    return [*WORDS.values(), *generated]


def disguises(text: str) -> Iterator[bytes]:
    """Ways in which a text may lie on a disk."""
    yield text.encode()
    yield text.encode("utf-16-le")
    for skipped in range(3):
        yield base64.b64encode(text.encode()[skipped:])[:-4]
    if len(text) == 36 and text.count("-") == 4:
        yield bytes.fromhex(text.replace("-", ""))


def files_with(folder: Path, texts: list[str]) -> dict[str, set[str]]:
    """The files of a folder that hold one of the texts, with the texts found."""
    found: dict[str, set[str]] = {}
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for text in texts:
            if any(disguise in content for disguise in disguises(text)):
                found.setdefault(path.name, set()).add(text)
    return found


def assert_private(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path.name


def test_the_search_finds_what_lies_open(tmp_path: Path) -> None:
    for name, content in (("plain", b"..apfelstrudel-key.."), ("base64", base64.b64encode(b"1apfelstrudel-key2"))):
        (tmp_path / name).write_bytes(content)
    assert set(files_with(tmp_path, list(WORDS.values()))) == {"plain", "base64"}


@pytest.mark.parametrize("end", ["running", "stopped", "killed", "restarted"])
def test_nothing_that_was_sent_can_be_read_on_the_disk(server: ServerProcess, end: str) -> None:
    texts = traffic(server)
    if end == "stopped":
        server.stop()
    if end in {"killed", "restarted"}:
        server.kill()
    if end == "restarted":
        server.restart()
        server.request("GET", "/logs/recent")
    assert files_with(server.data_dir, texts) == {}
    assert_private(server.data_dir)


def test_a_secret_is_only_in_the_file_that_hands_it_over(server: ServerProcess) -> None:
    traffic(server)
    secret = server.credentials.secret_access_key
    encryption_key = (server.data_dir / "encryption-key").read_text().split()[-1]
    assert set(files_with(server.data_dir, [secret])) == {"credentials"}
    assert set(files_with(server.data_dir, [encryption_key])) == {"encryption-key"}
    raw = base64.b64decode(encryption_key)
    assert not [path for path in server.data_dir.rglob("*") if path.is_file() and raw in path.read_bytes()]
    config = Path(server.environ["XDG_CONFIG_HOME"])
    assert files_with(config, [secret, encryption_key]) == {}
    process = Path(f"/proc/{server.pid}")
    for shown in ((process / "cmdline").read_bytes(), (process / "environ").read_bytes(), server.stderr.encode()):
        assert secret.encode() not in shown
        assert encryption_key.encode() not in shown


def test_every_wal_and_shared_memory_file_was_looked_at(server: ServerProcess) -> None:
    """The search above would prove nothing if these were not there."""
    traffic(server)
    suffixes = {path.name.partition(".")[2] for path in (server.data_dir / "logs").iterdir()}
    assert suffixes == {"logs", "logs-wal", "logs-shm"}


@pytest.mark.asyncio
async def test_what_is_left_of_a_file_in_the_making_holds_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[bytes] = []
    wrap = type(KEYS).wrap

    def remember(provider: object, data_key: bytes, context: bytes) -> bytes:
        keys.append(data_key)
        return wrap(KEYS, data_key, context)

    def fail(path: Path, target: Path) -> Path:
        raise OSError(5, "Input/output error")

    store = await open_embedded(tmp_path / "logs", SetClock())
    with monkeypatch.context() as patched:
        patched.setattr(type(KEYS), "wrap", remember)
        patched.setattr(Path, "rename", fail)
        with pytest.raises(Exception, match="failed"):
            await store.append(batch_of("a"))
    await store.close()
    left = _contents(tmp_path / "logs")
    assert list(left) == ["2025-06-15.new"]
    assert len(keys) == 1
    assert not any(keys[0] in content for content in left.values())
    assert_private(tmp_path / "logs")


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
