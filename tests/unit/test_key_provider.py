"""The key-encryption keys: where they come from, what they bind, and every refusal."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from simple_log_service.server import key_provider
from simple_log_service.server.files import OperatorError
from simple_log_service.server.key_provider import KeyUnavailable, LocalKeyProvider, load_key_provider

KEK = bytes(range(32))
OTHER_KEK = bytes(range(1, 33))
KEKS = st.binary(min_size=32, max_size=32)


def line_of(kek: bytes) -> str:
    """The key's line in the key file."""
    return f"{LocalKeyProvider([kek]).kek_id} {base64.b64encode(kek).decode()}\n"


def write_key_file(data_dir: Path, text: str, mode: int = 0o600) -> Path:
    path = data_dir / "encryption-key"
    path.write_text(text)
    path.chmod(mode)
    return path


HEADER = "# simple-log-service encryption keys, version 1\n"


class TestWrapping:
    @given(kek=KEKS, secret=st.binary(max_size=200), context=st.binary(max_size=200))
    def test_what_was_wrapped_comes_back(self, kek: bytes, secret: bytes, context: bytes) -> None:
        keys = LocalKeyProvider([kek])
        wrapped = keys.wrap(secret, context)
        assert keys.unwrap(keys.kek_id, wrapped, context) == secret

    @given(context=st.binary(max_size=50), other=st.binary(max_size=50))
    def test_another_context_does_not_unwrap(self, context: bytes, other: bytes) -> None:
        keys = LocalKeyProvider([KEK])
        wrapped = keys.wrap(b"secret", context)
        if other != context:
            with pytest.raises(KeyUnavailable, match=r"changed or moved since\. Restore it from a backup"):
                keys.unwrap(keys.kek_id, wrapped, other)

    @given(secret=st.binary(max_size=40), data=st.data())
    def test_a_flip_of_any_bit_is_noticed(self, secret: bytes, data: st.DataObject) -> None:
        keys = LocalKeyProvider([KEK])
        wrapped = bytearray(keys.wrap(secret, b"context"))
        wrapped[data.draw(st.integers(0, len(wrapped) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        with pytest.raises(KeyUnavailable):
            keys.unwrap(keys.kek_id, bytes(wrapped), b"context")

    @given(length=st.integers(0, 33))
    def test_a_truncated_one_is_noticed(self, length: int) -> None:
        keys = LocalKeyProvider([KEK])
        with pytest.raises(KeyUnavailable):
            keys.unwrap(keys.kek_id, keys.wrap(b"secret", b"context")[:length], b"context")

    def test_the_name_of_another_key_does_not_unwrap(self) -> None:
        keys = LocalKeyProvider([OTHER_KEK, KEK])
        wrapped = keys.wrap(b"secret", b"context")
        with pytest.raises(KeyUnavailable, match="damaged"):
            keys.unwrap(LocalKeyProvider([OTHER_KEK]).kek_id, wrapped, b"context")

    def test_a_key_that_is_not_there_is_named_with_what_to_do(self) -> None:
        old, new = LocalKeyProvider([KEK]), LocalKeyProvider([OTHER_KEK])
        with pytest.raises(KeyUnavailable) as refusal:
            new.unwrap(old.kek_id, old.wrap(b"secret", b"context"), b"context")
        assert str(refusal.value) == (
            f"It was encrypted under the key {old.kek_id!r}, and the server has {new.kek_id}. "
            "Put the line of that key back into the file encryption-key, above the last one, "
            "or set SIMPLE_LOG_SERVICE_ENCRYPTION_KEY where the key was kept there; then restart."
        )

    def test_no_two_wrappings_of_the_same_are_alike(self) -> None:
        keys = LocalKeyProvider([KEK])
        assert len({keys.wrap(b"secret", b"context")[:12] for _ in range(1000)}) == 1000

    def test_the_last_key_wraps_and_all_of_them_unwrap(self) -> None:
        before = LocalKeyProvider([KEK])
        after = LocalKeyProvider([KEK, OTHER_KEK])
        assert after.kek_id == LocalKeyProvider([OTHER_KEK]).kek_id
        assert after.unwrap(before.kek_id, before.wrap(b"old", b""), b"") == b"old"
        assert after.unwrap(after.kek_id, after.wrap(b"new", b""), b"") == b"new"

    def test_nothing_of_a_key_is_in_its_id_or_its_repr(self) -> None:
        keys = LocalKeyProvider([KEK])
        for text in (keys.kek_id, repr(keys)):
            assert KEK.hex()[:8] not in text
            assert base64.b64encode(KEK).decode()[:8] not in text


class TestTheKeyFile:
    def test_the_first_start_makes_one_that_the_next_start_reads(self, tmp_path: Path) -> None:
        first = load_key_provider(tmp_path, None, create=True)
        for create in (True, False):
            again = load_key_provider(tmp_path, None, create=create)
            assert again.unwrap(first.kek_id, first.wrap(b"secret", b""), b"") == b"secret"

    def test_it_is_private_and_says_what_losing_it_means(self, tmp_path: Path) -> None:
        load_key_provider(tmp_path, None, create=True)
        path = tmp_path / "encryption-key"
        assert path.stat().st_mode & 0o777 == 0o600
        assert "WHOEVER LOSES THIS FILE LOSES EVERY LOG AND EVERY ACCESS KEY" in path.read_text()

    def test_every_directory_gets_a_key_of_its_own(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        a, b = (load_key_provider(tmp_path / name, None, create=True) for name in "ab")
        assert a.kek_id != b.kek_id

    def test_processes_that_start_together_agree_on_one_key(self, tmp_path: Path) -> None:
        code = (
            "import sys; from pathlib import Path\n"
            "from simple_log_service.server.key_provider import load_key_provider\n"
            "sys.stdin.read()\n"
            "print(load_key_provider(Path(sys.argv[1]), None, create=True).kek_id)"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
        ]
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
            process.stdin = None
        kek_ids = {process.communicate()[0].strip() for process in processes}
        assert kek_ids == {load_key_provider(tmp_path, None, create=False).kek_id}

    def test_where_another_process_was_first_its_key_is_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def the_other_is_faster(path: Path, data: bytes, *, replace: bool) -> None:
            assert not replace
            write_key_file(tmp_path, HEADER + line_of(OTHER_KEK))
            raise FileExistsError

        monkeypatch.setattr(key_provider, "write_durably", the_other_is_faster)
        keys = load_key_provider(tmp_path, None, create=True)
        assert keys.kek_id == LocalKeyProvider([OTHER_KEK]).kek_id

    def test_a_line_can_be_added_below_for_a_new_key(self, tmp_path: Path) -> None:
        old = load_key_provider(tmp_path, None, create=True)
        with (tmp_path / "encryption-key").open("a") as file:
            file.write(line_of(KEK))
        keys = load_key_provider(tmp_path, None, create=False)
        assert keys.kek_id == LocalKeyProvider([KEK]).kek_id
        assert keys.unwrap(old.kek_id, old.wrap(b"secret", b""), b"") == b"secret"

    def test_comments_blank_lines_and_the_other_line_end_are_taken(self, tmp_path: Path) -> None:
        text = HEADER + "\n# one more remark\n\n" + line_of(KEK) + "\n"
        write_key_file(tmp_path, text.replace("\n", "\r\n"))
        assert load_key_provider(tmp_path, None, create=False).kek_id == LocalKeyProvider([KEK]).kek_id

    def test_a_missing_one_is_not_replaced_where_data_depends_on_it(self, tmp_path: Path) -> None:
        path = tmp_path / "encryption-key"
        with pytest.raises(OperatorError) as refusal:
            load_key_provider(tmp_path, None, create=False)
        assert str(refusal.value) == (
            f"The file {path} is missing, and what this directory holds was encrypted with it: without it "
            "every log and every access key here is lost. Put the file back from your copy, or set "
            "SIMPLE_LOG_SERVICE_ENCRYPTION_KEY where the key was kept there. "
            "To begin anew, choose an empty directory."
        )
        assert not path.exists()

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o666])
    def test_one_that_others_may_read_or_write_is_refused(self, tmp_path: Path, mode: int) -> None:
        path = write_key_file(tmp_path, HEADER + line_of(KEK), mode)
        with pytest.raises(OperatorError) as refusal:
            load_key_provider(tmp_path, None, create=True)
        assert str(refusal.value) == (
            f"Other users may read or write the file {path}, which decrypts everything here. "
            f"Take that away (chmod 600 {path}) and consider who may have read it."
        )

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "is not a key file: its first line does not name the format."),
            ("\x00\x01garbage\n", "is not a key file: its first line does not name the format."),
            (line_of(KEK), "is not a key file: its first line does not name the format."),
            (HEADER, "holds no key."),
            (HEADER + "id AAAA\n", "Line 2 of"),
            (HEADER + line_of(KEK) + line_of(KEK)[:-5] + "\n", "Line 3 of"),
            (HEADER + "just-one-word\n", "is not a key, which is an id and the base64 of 32 bytes."),
            (HEADER + line_of(KEK).replace("A", "B"), "is damaged: its key does not fit its id."),
            (HEADER + line_of(KEK).replace("=", "*"), "is not a key, which is an id and the base64 of"),
        ],
    )
    def test_one_that_is_damaged_is_refused_and_never_replaced(self, tmp_path: Path, text: str, reason: str) -> None:
        path = write_key_file(tmp_path, text)
        with pytest.raises(OperatorError) as refusal:
            load_key_provider(tmp_path, None, create=True)
        message = str(refusal.value)
        assert reason in message
        assert message.endswith(
            f" Restore {path} from your copy; do not make a new one: it could decrypt nothing of what is here."
        )
        assert path.read_text() == text

    def test_one_of_a_later_format_is_refused(self, tmp_path: Path) -> None:
        path = write_key_file(tmp_path, HEADER.replace("1", "2") + "something new\n")
        with pytest.raises(OperatorError) as refusal:
            load_key_provider(tmp_path, None, create=True)
        assert str(refusal.value) == (
            f"The file {path} has the format version 2, and this program knows version 1. "
            "Run the program that wrote it, or a newer one."
        )

    @settings(deadline=None)
    @given(damage=st.binary(max_size=300))
    def test_no_content_ends_in_anything_but_keys_or_a_refusal(
        self, tmp_path_factory: pytest.TempPathFactory, damage: bytes
    ) -> None:
        data_dir = tmp_path_factory.mktemp("data")
        path = write_key_file(data_dir, HEADER)
        path.write_bytes(HEADER.encode() + damage + b"\n")
        with pytest.raises(OperatorError):
            load_key_provider(data_dir, None, create=True)

    def test_no_refusal_repeats_a_key(self, tmp_path: Path) -> None:
        encoded = line_of(KEK).split()[1]
        for broken in (f"wrong-id {encoded}", f"id {encoded}AAAA", f"id:{encoded}"):
            write_key_file(tmp_path, HEADER + broken + "\n")
            with pytest.raises(OperatorError) as refusal:
                load_key_provider(tmp_path, None, create=True)
            assert encoded[:12] not in str(refusal.value)

    def test_a_directory_in_its_place_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "encryption-key").mkdir()
        with pytest.raises(OperatorError, match=r"cannot be read: Is a directory\. Give it to the user"):
            load_key_provider(tmp_path, None, create=True)

    def test_a_directory_without_room_for_it_is_an_error_with_a_hint(self, tmp_path: Path) -> None:
        with pytest.raises(OperatorError, match=r"cannot be written: No such file .* Check the disk"):
            load_key_provider(tmp_path / "missing", None, create=True)


class TestTheEnvironment:
    ENCODED = base64.b64encode(KEK).decode()

    @pytest.mark.parametrize("value", [ENCODED, f" {ENCODED}\n", SecretStr(ENCODED)])
    def test_its_key_is_used_and_no_file_is_made(self, tmp_path: Path, value: str | SecretStr) -> None:
        keys = load_key_provider(tmp_path, value, create=True)
        assert keys.kek_id == LocalKeyProvider([KEK]).kek_id
        assert list(tmp_path.iterdir()) == []

    def test_its_key_is_enough_where_the_directory_holds_data(self, tmp_path: Path) -> None:
        keys = load_key_provider(tmp_path, self.ENCODED, create=False)
        assert keys.kek_id == LocalKeyProvider([KEK]).kek_id

    def test_a_key_that_moves_from_the_file_keeps_its_id(self, tmp_path: Path) -> None:
        in_file = load_key_provider(tmp_path, None, create=True)
        path = tmp_path / "encryption-key"
        encoded = path.read_text().split()[-1]
        path.unlink()
        in_environment = load_key_provider(tmp_path, encoded, create=False)
        assert in_environment.unwrap(in_file.kek_id, in_file.wrap(b"secret", b""), b"") == b"secret"

    def test_the_file_still_unwraps_beside_it(self, tmp_path: Path) -> None:
        in_file = load_key_provider(tmp_path, None, create=True)
        both = load_key_provider(tmp_path, self.ENCODED, create=False)
        assert both.kek_id == LocalKeyProvider([KEK]).kek_id
        assert both.unwrap(in_file.kek_id, in_file.wrap(b"secret", b""), b"") == b"secret"

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "secret",
            base64.b64encode(KEK[:31]).decode(),
            base64.b64encode(KEK + b"x").decode(),
            "ключ",
            KEK.hex(),
        ],
    )
    def test_anything_but_32_bytes_is_refused_with_how_to_make_them(self, tmp_path: Path, value: str) -> None:
        with pytest.raises(OperatorError) as refusal:
            load_key_provider(tmp_path, value, create=True)
        assert str(refusal.value) == (
            "SIMPLE_LOG_SERVICE_ENCRYPTION_KEY is not the base64 of 32 bytes. "
            "Make a new key with: head -c 32 /dev/urandom | base64"
        )
        assert list(tmp_path.iterdir()) == []
