"""The access-key store: real files, real encryption, real second processes."""

from __future__ import annotations

import base64
import errno
import fcntl
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from simple_log_service.api.policy import ADMIN, INGEST, READ, Policy, PolicyError
from simple_log_service.server import access_keys
from simple_log_service.server.access_keys import AccessKeyStore, policy_document
from simple_log_service.server.files import OperatorError
from simple_log_service.server.key_provider import LocalKeyProvider

KEK = bytes(range(32))
START = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
SECOND_NS = 1_000_000_000
DAY_SECONDS = 24 * 3600


class CountingKeyProvider(LocalKeyProvider):
    """The real one, which also counts how often it unwraps."""

    unwrapped = 0

    def unwrap(self, kek_id: str, wrapped: bytes, context: bytes) -> bytes:
        self.unwrapped += 1
        return super().unwrap(kek_id, wrapped, context)


class Home:
    """One data directory with its clocks, which stand still until a test moves them."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.path = data_dir / "access-keys.json"
        self.now_ns = int(START.timestamp()) * SECOND_NS
        self.monotonic_ns = 0
        self.keys = CountingKeyProvider([KEK])
        self.store = self.open()

    def open(self, keys: LocalKeyProvider | None = None) -> AccessKeyStore:
        return AccessKeyStore(
            self.data_dir, keys or self.keys, lambda: self.now_ns, monotonic_ns=lambda: self.monotonic_ns
        )

    def pass_seconds(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND_NS)
        self.monotonic_ns += int(seconds * SECOND_NS)

    def document(self) -> Any:
        return json.loads(self.path.read_bytes())

    def edit(self, change: Callable[[Any], object]) -> None:
        """Change the entries the way an editor would."""
        document = self.document()
        change(document["keys"])
        self.path.write_text(json.dumps(document))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


ANOTHER_PROCESS = """
import os, sys, time
from pathlib import Path
from simple_log_service.api.policy import INGEST
from simple_log_service.server import files
from simple_log_service.server.access_keys import AccessKeyStore
from simple_log_service.server.key_provider import LocalKeyProvider

store = AccessKeyStore(Path(sys.argv[1]), LocalKeyProvider([bytes(range(32))]), time.time_ns)
command, argument = sys.argv[2:]

def hang(descriptor):
    print("hanging", flush=True)
    sys.stdin.read()

if command == "create":
    for _ in range(int(argument)):
        print(store.create("another", INGEST).access_key_id)
elif command == "hang-in-create":
    files.os.fsync = hang
    store.create(argument, INGEST)
else:
    getattr(store, command)(argument)
"""


def another_process(home: Home, command: str, argument: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ANOTHER_PROCESS, str(home.data_dir), command, argument],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> list[str]:
    output, _ = process.communicate()
    assert process.returncode == 0
    return output.split()


class TestCreating:
    def test_a_long_lived_key_is_found_with_its_secret_and_its_user(self, home: Home) -> None:
        created = home.store.create("web-1", INGEST)
        assert re.fullmatch("AKIA[A-Z2-7]{16}", created.access_key_id)
        assert re.fullmatch("[A-Za-z0-9+/]{40}", created.secret_access_key)
        assert created.session_token is None
        assert created.expires is None

        key = home.store.find(created.access_key_id)
        assert key is not None
        assert key.secret_access_key == created.secret_access_key
        assert key.session_token is None
        assert key.expires_at is None
        assert key.principal.access_key_id == created.access_key_id
        assert key.principal.arn == "arn:aws:iam::000000000000:user/web-1"
        assert key.principal.owner == key.principal.arn

    def test_a_temporary_key_is_found_with_its_token_expiry_and_role(self, home: Home) -> None:
        created = home.store.create("ci", READ, expires_in_seconds=900)
        assert re.fullmatch("ASIA[A-Z2-7]{16}", created.access_key_id)
        assert created.expires is not None
        assert (created.expires - START).total_seconds() == 900

        key = home.store.find(created.access_key_id)
        assert key is not None
        assert key.session_token == created.session_token
        assert key.expires_at == START.timestamp() + 900
        assert key.principal.owner == "arn:aws:sts::000000000000:assumed-role/ci"
        assert key.principal.arn == f"{key.principal.owner}/{created.access_key_id}"

    def test_two_sessions_of_one_name_have_the_same_owner(self, home: Home) -> None:
        first, second = (home.store.create("ci", READ, expires_in_seconds=60) for _ in range(2))
        keys = [home.store.find(created.access_key_id) for created in (first, second)]
        assert len({key.principal.owner for key in keys if key}) == 1
        assert len({key.principal.arn for key in keys if key}) == 2

    def test_a_name_may_have_two_keys_and_no_two_secrets_are_alike(self, home: Home) -> None:
        created = [home.store.create("web", INGEST) for _ in range(5)]
        assert len({key.access_key_id for key in created}) == 5
        assert len({key.secret_access_key for key in created}) == 5

    @pytest.mark.parametrize("name", ["a", "A+=,.@_-9", "x" * 64])
    def test_a_name_by_the_rule_of_iam_is_taken(self, home: Home, name: str) -> None:
        created = home.store.create(name, INGEST)
        assert [info.name for info in home.store.list()] == [name]
        assert home.open().find(created.access_key_id)

    @pytest.mark.parametrize("name", ["", "x" * 65, "two words", "a/b", "a:b", "naïve", "line\n", "a\0"])
    def test_any_other_name_is_refused_with_the_rule(self, home: Home, name: str) -> None:
        with pytest.raises(OperatorError) as refusal:
            home.store.create(name, INGEST)
        assert str(refusal.value) == (
            f"The name {name!r} does not fit: a name is 1 to 64 letters, digits and any of + = , . @ _ -"
        )
        assert not home.path.exists()

    @pytest.mark.parametrize("seconds", [1, 36 * 3600])
    def test_the_shortest_and_the_longest_life_are_taken(self, home: Home, seconds: int) -> None:
        assert home.store.create("ci", READ, expires_in_seconds=seconds).session_token

    @pytest.mark.parametrize("seconds", [-1, 0, 36 * 3600 + 1])
    def test_any_other_life_is_refused_with_the_bounds(self, home: Home, seconds: int) -> None:
        with pytest.raises(OperatorError, match=f"lives 1 to 129600 seconds, not {seconds}"):
            home.store.create("ci", READ, expires_in_seconds=seconds)
        assert not home.path.exists()

    def test_a_policy_that_cannot_be_enforced_is_refused(self, home: Home) -> None:
        statement = {"Effect": "Allow", "NotAction": "execute-api:Invoke", "Resource": "*"}
        with pytest.raises(PolicyError):
            home.store.create("web", {"Version": "2012-10-17", "Statement": [statement]})
        assert not home.path.exists()

    def test_past_the_most_keys_there_may_be_it_is_refused(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(access_keys, "ACCESS_KEYS_MAX", 2)
        first, _ = (home.store.create("web", INGEST) for _ in range(2))
        with pytest.raises(OperatorError, match=r"There are 2 access keys, the most there may be\. Delete some"):
            home.store.create("web", INGEST)
        home.store.delete(first.access_key_id)
        home.store.create("web", INGEST)

    def test_expired_keys_do_not_keep_new_ones_out(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(access_keys, "ACCESS_KEYS_MAX", 1)
        home.store.create("ci", READ, expires_in_seconds=60)
        home.pass_seconds(60 + DAY_SECONDS)
        created = home.store.create("ci", READ, expires_in_seconds=60)
        assert [info.access_key_id for info in home.store.list()] == [created.access_key_id]

    def test_an_expired_key_is_found_for_a_day_and_then_left_out_by_the_next_write(self, home: Home) -> None:
        expired = home.store.create("ci", READ, expires_in_seconds=60)
        home.pass_seconds(60 + DAY_SECONDS - 1)
        kept = home.store.create("web", INGEST)
        assert home.store.find(expired.access_key_id)
        home.pass_seconds(1)
        new = home.store.create("web", INGEST)
        assert home.store.find(expired.access_key_id) is None
        assert [info.access_key_id for info in home.store.list()] == [kept.access_key_id, new.access_key_id]


class TestListing:
    def test_every_key_is_listed_in_the_order_of_creation_without_its_secret(self, home: Home) -> None:
        first = home.store.create("web", INGEST)
        home.pass_seconds(1.5)
        second = home.store.create("ci", READ, expires_in_seconds=60)
        home.store.disable(first.access_key_id)
        one, two = home.store.list()
        assert (one.access_key_id, one.name, one.status, one.policy) == (
            first.access_key_id, "web", "disabled", INGEST,
        )  # fmt: skip
        assert (one.created, one.expires, one.refusal) == (START, None, None)
        assert (two.access_key_id, two.name, two.status, two.policy) == (
            second.access_key_id, "ci", "active", READ,
        )  # fmt: skip
        assert ((two.created - START).total_seconds(), two.expires, two.refusal) == (1.5, second.expires, None)

    def test_an_empty_store_lists_nothing_and_makes_no_file(self, home: Home) -> None:
        assert list(home.store.list()) == []
        assert list(home.data_dir.iterdir()) == []


class TestDisablingAndDeleting:
    @pytest.mark.parametrize("command", ["disable", "delete"])
    def test_the_key_is_refused_at_once_in_the_same_process(self, home: Home, command: str) -> None:
        gone, other = home.store.create("web", INGEST), home.store.create("web", INGEST)
        assert home.store.find(gone.access_key_id)
        getattr(home.store, command)(gone.access_key_id)
        assert home.store.find(gone.access_key_id) is None
        assert home.store.find(other.access_key_id)

    def test_a_disabled_key_stays_listed_and_a_deleted_one_does_not(self, home: Home) -> None:
        disabled, deleted = home.store.create("a", INGEST), home.store.create("b", INGEST)
        home.store.disable(disabled.access_key_id)
        home.store.delete(deleted.access_key_id)
        assert [(info.name, info.status) for info in home.store.list()] == [("a", "disabled")]

    def test_disabling_twice_changes_nothing_more(self, home: Home) -> None:
        created = home.store.create("web", INGEST)
        home.store.disable(created.access_key_id)
        home.store.disable(created.access_key_id)
        assert home.store.find(created.access_key_id) is None

    @pytest.mark.parametrize("command", ["disable", "delete"])
    def test_an_unknown_key_is_refused_with_a_hint(self, home: Home, command: str) -> None:
        with pytest.raises(OperatorError) as refusal:
            getattr(home.store, command)("AKIAUNKNOWN")
        assert str(refusal.value) == ("There is no access key 'AKIAUNKNOWN'. List the keys to see which there are.")

    @pytest.mark.parametrize("command", ["disable", "delete"])
    def test_a_key_that_cannot_be_unsealed_can_still_be_taken_away(self, home: Home, command: str) -> None:
        created = home.store.create("web", INGEST)
        elsewhere = home.open(LocalKeyProvider([bytes(32)]))
        getattr(elsewhere, command)(created.access_key_id)
        assert home.open().find(created.access_key_id) is None


class TestSeveralProcesses:
    def test_a_key_made_by_another_process_is_found_at_once(self, home: Home) -> None:
        home.store.create("web", INGEST)
        (access_key_id,) = finished(another_process(home, "create", "1"))
        assert home.monotonic_ns == 0
        assert home.store.find(access_key_id)

    @pytest.mark.parametrize("command", ["disable", "delete"])
    def test_a_key_taken_away_by_another_process_is_refused_within_a_second(self, home: Home, command: str) -> None:
        created = home.store.create("web", INGEST)
        finished(another_process(home, command, created.access_key_id))
        assert home.store.find(created.access_key_id), "The file's status was looked at too soon."
        home.pass_seconds(0.25)
        assert home.store.find(created.access_key_id) is None

    def test_writers_at_the_same_time_lose_no_key(self, home: Home) -> None:
        processes = [another_process(home, "create", "5") for _ in range(3)]
        made = {access_key_id for process in processes for access_key_id in finished(process)}
        assert len(made) == 15
        assert {info.access_key_id for info in home.store.list()} == made

    def test_a_writer_keeps_the_others_waiting_until_its_file_is_in_place(self, home: Home) -> None:
        with another_process(home, "hang-in-create", "slow") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "hanging\n"
            with (home.data_dir / "access-keys.lock").open() as lock:
                with pytest.raises(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                assert process.stdin is not None
                process.stdin.close()
                fcntl.flock(lock, fcntl.LOCK_EX)
            assert [info.name for info in home.store.list()] == ["slow"]

    def test_a_writer_that_is_killed_on_the_way_leaves_the_keys_and_frees_the_lock(self, home: Home) -> None:
        before = home.store.create("web", INGEST)
        with another_process(home, "hang-in-create", "unlucky") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "hanging\n"
            process.kill()
        assert len(list(home.data_dir.glob(".access-keys.json.*.tmp"))) == 1
        after = home.store.create("web", INGEST)
        assert [info.access_key_id for info in home.open().list()] == [
            before.access_key_id, after.access_key_id,
        ]  # fmt: skip


class TestSecrecy:
    def test_the_file_holds_no_secret_in_the_clear(self, home: Home) -> None:
        for created in (home.store.create("a", INGEST), home.store.create("b", READ, expires_in_seconds=60)):
            for secret in filter(None, (created.secret_access_key, created.session_token)):
                data = home.path.read_bytes()
                assert secret.encode() not in data
                assert base64.b64decode(secret) not in data
                assert base64.b64encode(secret.encode())[:-4] not in data

    def test_the_file_and_its_lock_are_private_whatever_the_umask(self, home: Home) -> None:
        before = os.umask(0)
        try:
            home.store.create("web", INGEST)
        finally:
            os.umask(before)
        assert {path.stat().st_mode & 0o777 for path in home.data_dir.iterdir()} == {0o600}

    def test_no_repr_shows_a_secret(self, home: Home) -> None:
        created = home.store.create("web", READ, expires_in_seconds=60)
        assert created.session_token
        everything = (created, home.store, home.store.find(created.access_key_id), home.store.list())
        shown = repr(everything) + pretty_repr(everything)
        assert created.access_key_id in shown
        assert created.secret_access_key not in shown
        assert created.session_token not in shown

    def test_no_report_repeats_a_secret(self, home: Home, caplog: pytest.LogCaptureFixture) -> None:
        created = home.store.create("web", INGEST)
        wrapped = home.document()["keys"][0]["wrapped_secret"]
        home.edit(lambda keys: keys[0].update(name="other"))
        assert home.store.find("unknown") is None
        assert caplog.records
        assert created.secret_access_key not in caplog.text
        assert wrapped not in caplog.text


def swap(member: str) -> Callable[[Any], None]:
    def change(keys: Any) -> None:
        keys[0][member], keys[1][member] = keys[1][member], keys[0][member]

    return change


class TestTampering:
    @pytest.mark.parametrize("member", ["access_key_id", "name", "policy", "created", "expires", "wrapped_secret"])
    def test_a_swap_between_two_keys_takes_both_out_of_force(
        self, home: Home, caplog: pytest.LogCaptureFixture, member: str
    ) -> None:
        one = home.store.create("reader", READ, expires_in_seconds=60)
        home.pass_seconds(1)
        two = home.store.create("boss", ADMIN, expires_in_seconds=3600)
        other = home.store.create("web", INGEST)
        home.edit(swap(member))
        for store in (home.store, home.open()):
            assert store.find("unknown") is None
            assert store.find(one.access_key_id) is None
            assert store.find(two.access_key_id) is None
            assert store.find(other.access_key_id)
            for access_key_id in (one.access_key_id, two.access_key_id):
                assert f"The access key {access_key_id!r} is refused. What was encrypted" in caplog.text
        refusals = {info.access_key_id: info.refusal for info in home.store.list()}
        assert "changed or moved since" in str(refusals[one.access_key_id])
        assert refusals[other.access_key_id] is None

    @pytest.mark.parametrize(
        "edit",
        [
            {"expires": "2099-01-01T00:00:00Z"},
            {"expires": None},
            {"name": "admin"},
            {"policy": ADMIN},
            {"created": "2030-01-01T00:00:00Z"},
            {"kek_id": "0000000000000000"},
            {"wrapped_secret": ""},
            {"access_key_id": "AKIAAAAAAAAAAAAAAAAA"},
        ],
    )
    def test_an_edited_entry_is_refused(self, home: Home, edit: dict[str, Any]) -> None:
        created = home.store.create("ci", READ, expires_in_seconds=60)
        home.edit(lambda keys: keys[0].update(edit))
        home.pass_seconds(1)
        assert home.store.find(created.access_key_id) is None
        assert home.store.find("AKIAAAAAAAAAAAAAAAAA") is None

    def test_a_policy_nested_however_deep_never_makes_finding_fail(self, home: Home) -> None:
        home.store.create("web", READ)
        home.edit(lambda keys: keys[0].update(policy="PLACE"))
        template = home.path.read_text()
        for depth in range(800, 1010):
            home.path.write_text(template.replace('"PLACE"', '{"a":' * depth + "{}" + "}" * depth))
            assert home.store.find("unknown") is None

    def test_an_entry_of_another_directory_is_refused(self, home: Home, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        elsewhere = AccessKeyStore(tmp_path / "elsewhere", LocalKeyProvider([bytes(32)]), lambda: home.now_ns)
        created = elsewhere.create("intruder", ADMIN)
        home.path.write_bytes((tmp_path / "elsewhere" / "access-keys.json").read_bytes())
        assert home.store.find(created.access_key_id) is None

    def test_layout_and_order_of_the_file_mean_nothing(self, home: Home) -> None:
        created = [home.store.create(name, READ) for name in ("a", "b")]
        document = home.document()
        document["keys"].reverse()
        home.path.write_text(json.dumps(document, indent=7, sort_keys=True))
        assert home.store.find("unknown") is None
        assert all(home.store.find(key.access_key_id) for key in created)
        assert [info.refusal for info in home.store.list()] == [None, None]

    def test_a_policy_of_the_file_that_is_not_understood_refuses_its_key_alone(
        self, home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        statement = {"Effect": "Allow", "NotAction": "execute-api:Invoke", "Resource": "*"}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        other = home.store.create("web", INGEST)
        with monkeypatch.context() as patch:
            patch.setattr(Policy, "parse", lambda document: None)
            later = home.store.create("from-a-later-program", document)
        reopened = home.open()
        assert reopened.find(later.access_key_id) is None
        assert reopened.find(other.access_key_id)
        assert f"The access key {later.access_key_id!r} is refused." in caplog.text


class TestTheFileWhileTheServerRuns:
    @pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe", b'{"version": 1}', b"[" * 100_000])
    def test_a_damaged_one_leaves_the_keys_in_force_and_is_reported_once(
        self, home: Home, caplog: pytest.LogCaptureFixture, damage: bytes
    ) -> None:
        created = home.store.create("web", INGEST)
        good = home.path.read_bytes()
        home.path.write_bytes(damage)
        for _ in range(3):
            home.pass_seconds(1)
            assert home.store.find("unknown") is None
            assert home.store.find(created.access_key_id)
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert f"The file {home.path} is damaged: " in record.getMessage()
        assert record.getMessage().endswith("The access keys that were read before stay in force.")

        home.path.write_bytes(good)
        home.store.disable(created.access_key_id)
        assert home.store.find(created.access_key_id) is None

    @pytest.mark.parametrize("damage", [b"", b"garbage", b'{"version": 1, "keys": [{}]}'])
    def test_a_damaged_one_stops_the_next_start_and_is_never_overwritten(self, home: Home, damage: bytes) -> None:
        home.store.create("web", INGEST)
        home.path.write_bytes(damage)
        for attempt in (home.open, home.store.list, lambda: home.store.create("web", INGEST)):
            with pytest.raises(OperatorError) as refusal:
                attempt()
            assert str(refusal.value).startswith(f"The file {home.path} is damaged: ")
            assert str(refusal.value).endswith(
                "Restore it from a backup, or move it away to begin with no access keys."
            )
        assert home.path.read_bytes() == damage

    def test_one_of_a_later_format_is_refused(self, home: Home) -> None:
        home.path.write_text('{"version": 2, "news": []}')
        with pytest.raises(OperatorError) as refusal:
            home.open()
        assert str(refusal.value) == (
            f"The file {home.path} has the format version 2, and this program knows version 1. "
            "Run the program that wrote it, or a newer one."
        )

    def test_one_that_names_a_key_twice_is_refused(self, home: Home) -> None:
        home.store.create("web", INGEST)
        home.edit(lambda keys: keys.append(keys[0]))
        with pytest.raises(OperatorError, match=r"names an access key twice\. Remove one of the two entries"):
            home.open()

    def test_one_that_is_removed_takes_its_keys_with_it(self, home: Home) -> None:
        created = home.store.create("web", INGEST)
        home.path.unlink()
        home.pass_seconds(0.25)
        assert home.store.find(created.access_key_id) is None

    def test_one_that_cannot_be_read_now_is_read_later_although_it_did_not_change(
        self, home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def too_many(path: Path) -> bytes:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        kept = home.store.create("web", INGEST)
        (new,) = finished(another_process(home, "create", "1"))
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", too_many)
            for _ in range(3):
                assert home.store.find(new) is None
                assert home.store.find(kept.access_key_id)
            with pytest.raises(OperatorError, match=r"cannot be read: Too many open files"):
                home.store.list()
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert home.store.find(new)

    def test_a_lost_encryption_key_refuses_every_key_and_says_what_to_do(
        self, home: Home, caplog: pytest.LogCaptureFixture
    ) -> None:
        created = home.store.create("web", INGEST)
        store = home.open(LocalKeyProvider([bytes(32)]))
        assert store.find(created.access_key_id) is None
        assert "Put the line of that key back into the file encryption-key" in caplog.text

    def test_a_directory_that_cannot_be_written_to_is_an_error_with_a_hint(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*arguments: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        created = home.store.create("web", INGEST)
        monkeypatch.setattr(access_keys, "write_durably", full)
        with pytest.raises(OperatorError, match=r"could not be written: No space left .* Check the disk"):
            home.store.create("web", INGEST)
        assert [info.access_key_id for info in home.store.list()] == [created.access_key_id]

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_no_edit_of_its_bytes_makes_the_server_fail_or_grants_anything_else(
        self, home: Home, data: st.DataObject
    ) -> None:
        if not home.path.exists():
            home.store.create("web", INGEST)
            home.store.create("ci", READ, expires_in_seconds=60)
            (home.data_dir / "good").write_bytes(home.path.read_bytes())
        good = (home.data_dir / "good").read_bytes()
        home.path.write_bytes(good)
        reference = home.open()
        access_key_ids = [info.access_key_id for info in reference.list()]
        expected = {access_key_id: reference.find(access_key_id) for access_key_id in access_key_ids}

        start = data.draw(st.integers(0, len(good)))
        end = data.draw(st.integers(start, min(len(good), start + 20)))
        home.path.write_bytes(good[:start] + data.draw(st.binary(max_size=20)) + good[end:])
        try:
            store = home.open()
        except OperatorError:
            return
        for access_key_id in access_key_ids:
            found, before = store.find(access_key_id), expected[access_key_id]
            assert before is not None
            if found is not None:
                assert found.principal == before.principal
                assert found.secret_access_key == before.secret_access_key
                assert found.session_token == before.session_token
                assert found.expires_at == before.expires_at


class TestTheCostOfFinding:
    def test_a_known_key_is_found_without_a_look_at_the_file(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        created = home.store.create("web", INGEST)
        with monkeypatch.context() as patch:
            patch.delattr(AccessKeyStore, "_file_signature")
            assert home.store.find(created.access_key_id)

    def test_unknown_ids_cost_a_look_each_and_never_a_read(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        created = home.store.create("web", INGEST)
        home.store.disable(created.access_key_id)
        with monkeypatch.context() as patch:
            patch.delattr(AccessKeyStore, "_data")
            for number in range(100):
                assert home.store.find(f"AKIA{number}") is None
            assert home.store.find(created.access_key_id) is None

    def test_each_key_is_unsealed_once_although_the_file_changes(self, home: Home) -> None:
        for _ in range(5):
            home.store.create("web", INGEST)
        assert home.keys.unwrapped == 5
        home.pass_seconds(1)
        assert home.store.find("unknown") is None
        assert home.keys.unwrapped == 5


class TestPolicyDocument:
    def test_three_policies_have_names(self) -> None:
        assert [policy_document(name) for name in ("ingest", "read", "admin")] == [INGEST, READ, ADMIN]

    def test_json_text_and_a_file_are_read(self, tmp_path: Path) -> None:
        path = tmp_path / "policy.json"
        path.write_text(json.dumps(READ))
        assert policy_document(str(path)) == READ
        assert policy_document(" " + json.dumps(READ)) == READ

    def test_a_word_that_is_neither_name_nor_file_is_refused_with_the_names(self) -> None:
        with pytest.raises(OperatorError) as refusal:
            policy_document("everything")
        assert str(refusal.value) == (
            "'everything' is none of the policies ingest, read, admin, "
            "and cannot be read as a file: No such file or directory."
        )

    @pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"a": 1e999}', b'{"a":' * 50_000])
    def test_a_file_that_holds_no_json_object_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "policy.json"
        path.write_bytes(content)
        with pytest.raises(OperatorError, match=r"The policy is not a JSON object: .*\."):
            policy_document(str(path))

    def test_an_element_that_is_given_twice_is_refused(self) -> None:
        text = json.dumps(READ).replace('"Effect": "Allow"', '"Effect": "Deny", "Effect": "Allow"')
        with pytest.raises(PolicyError, match="twice"):
            policy_document(text)

    def test_a_name_with_a_nul_is_refused(self) -> None:
        with pytest.raises(OperatorError):
            policy_document("a\0b")
