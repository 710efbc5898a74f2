"""The embedded store's files: what is found again after a restart, what is refused, and what damage does."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from simple_log_service.core.errors import StoreUnavailable
from simple_log_service.core.ids import arrival_of
from simple_log_service.core.limits import DAY_NS, HOUR_NS
from simple_log_service.core.query import Query
from simple_log_service.server.key_provider import KeyUnavailable, LocalKeyProvider
from simple_log_service.server.metrics import PrometheusMetrics
from simple_log_service.stores.embedded import store as embedded_store
from simple_log_service.stores.embedded.day_file import FORMAT_VERSION
from simple_log_service.stores.embedded.store import EmbeddedStore
from support.disk import put_files
from support.stores import (
    KEYS,
    NOON,
    Given,
    SetClock,
    batch_of,
    embedded,
    everything,
    generated_ids,
    messages,
    open_embedded,
    read_all,
    retry_key,
)

pytestmark = pytest.mark.asyncio

CHUNKS = 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


async def fill(folder: Path, clock: SetClock | None = None, name: str = "") -> None:
    """Chunks of three records, each a minute after the one before."""
    async with embedded(folder, clock) as store:
        for chunk in range(CHUNKS):
            given = (Given(f"{name}{chunk}-{n}", minute(chunk) + n, metadata='{"key":"value"}') for n in range(3))
            await store.append(batch_of(*given))


def minute(chunk: int) -> int:
    return NOON + chunk * 60 * 10**9


def files(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(folder.glob(pattern))


def only_file(folder: Path) -> Path:
    (path,) = files(folder, "*.logs")
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def lasting(folder: Path) -> dict[str, bytes]:
    """The files that SQLite does not make and remove as it goes."""
    return {path.name: path.read_bytes() for path in files(folder) if not path.name.endswith(("-shm", "-wal"))}


def alter(path: Path, *statements: str) -> None:
    """Change a file as no program of ours would."""
    with closing(apsw.Connection(os.fspath(path))) as connection:
        for statement in statements:
            connection.execute(statement)


# --- Restart. ---


async def test_everything_is_the_same_after_a_restart(folder: Path) -> None:
    async with embedded(folder) as store:
        receipts = [await store.append(batch_of(*(Given(f"{n}-{m}") for m in range(9)))) for n in range(30)]
        receipts.append(await store.append(batch_of("a", Given("b", log_id="mine"), retry=retry_key())))
        before = await read_all(store)
    for _ in range(2):
        async with embedded(folder) as store:
            assert await read_all(store) == before
            assert await store.append(batch_of("a", Given("b", log_id="mine"), retry=retry_key())) == receipts[-1]
            assert (await store.append(batch_of(Given("c", log_id="mine")))).duplicates == 1
    named = {log_id for receipt in receipts for log_id in generated_ids(receipt).values()}
    assert {record["log_id"] for record in before} == named | {"mine"}


async def test_ids_go_on_where_they_stopped_even_if_the_clock_went_back(folder: Path) -> None:
    clock = SetClock()
    log_ids: list[str] = []
    for step_ns in (0, -HOUR_NS, -40 * DAY_NS, 0, 3 * DAY_NS, -DAY_NS):
        clock.advance(step_ns)
        async with embedded(folder, clock) as store:
            for _ in range(3):
                log_ids += generated_ids(await store.append(batch_of("a", "b"))).values()
    arrivals = [parts[0] for parts in map(arrival_of, log_ids) if parts is not None]
    assert arrivals == sorted(set(arrivals))
    assert len(arrivals) == 36


async def test_each_day_of_arrival_has_a_file_and_every_read_sees_them_all(folder: Path) -> None:
    clock = SetClock()
    async with embedded(folder, clock) as store:
        for day in range(5):
            await store.append(batch_of(Given(f"late {day}", NOON + day), Given(f"day {day}", clock() + day)))
            clock.advance(DAY_NS)
        expected = [*(f"day {day}" for day in (4, 3, 2, 1)), *(f"late {day}" for day in (4, 3, 2, 1))]
        found = await messages(store)
        assert sorted(found[:8]) == sorted(expected)
        assert len(found) == 10
    assert [path.stem for path in files(folder, "*.logs")] == [f"2025-06-{15 + day}" for day in range(5)]
    async with embedded(folder, clock) as store:
        assert await messages(store) == found


async def test_a_stop_folds_the_log_into_its_file(folder: Path) -> None:
    async with embedded(folder) as store:
        await store.append(batch_of("a"))
        assert await messages(store, Query(since_ns=-1)) == ["a"]
    assert not any(path.stat().st_size for path in files(folder, "*-wal"))
    copy = shutil.copytree(folder, folder.with_name("copy"), ignore=shutil.ignore_patterns("*-wal", "*-shm"))
    async with embedded(copy) as store:
        assert await messages(store) == ["a"]


async def test_a_past_day_is_whole_in_its_file_alone(folder: Path) -> None:
    clock = SetClock()
    async with embedded(folder, clock) as store:
        await store.append(batch_of("a"))
        assert await messages(store, Query(since_ns=-1)) == ["a"]
        clock.advance(DAY_NS)
        await store.append(batch_of("b"))
        assert not any(path.stat().st_size for path in files(folder, "2025-06-15.logs-wal"))


async def test_what_was_left_of_a_file_in_the_making_does_no_harm(folder: Path) -> None:
    leftovers = dict.fromkeys(
        ("2025-06-15.new", "2025-06-15.new-journal", "2025-06-15.new-wal", "2024-01-01.new"), b"anything" * 1000
    )
    put_files(folder, leftovers)
    async with embedded(folder) as store:
        await store.append(batch_of("a"))
        assert await messages(store) == ["a"]
    async with embedded(folder) as store:
        assert await messages(store) == ["a"]


async def test_files_and_folder_are_the_users_alone_whatever_the_umask(folder: Path) -> None:
    umask = os.umask(0)
    try:
        async with embedded(folder) as store:
            await store.append(batch_of("a"))
            await messages(store, Query(since_ns=-1))
            assert {path.name.partition(".")[2] for path in files(folder)} == {"logs", "logs-wal", "logs-shm"}
            modes = [mode(path) for path in (folder, *files(folder))]
    finally:
        os.umask(umask)
    assert modes == [0o700, 0o600, 0o600, 0o600]


async def test_the_size_counts_every_file(folder: Path) -> None:
    async with embedded(folder) as store:
        await store.append(batch_of("a" * 100_000))
        assert store.size_bytes == sum(path.stat().st_size for path in files(folder))
        assert store.tail_records == 1


async def test_a_new_file_is_as_the_format_says(folder: Path) -> None:
    await fill(folder)
    with closing(apsw.Connection(os.fspath(only_file(folder)))) as connection:
        assert connection.pragma("journal_mode") == "wal"
        assert connection.pragma("auto_vacuum") == 2
        assert connection.pragma("user_version") == FORMAT_VERSION
        assert connection.pragma("application_id") == int.from_bytes(b"SLOG", "big")
        assert connection.pragma("integrity_check") == "ok"


# --- What is refused. ---


async def refusal(folder: Path, keys: LocalKeyProvider = KEYS) -> str:
    """The sentence with which the store refuses to open."""
    with pytest.raises((StoreUnavailable, KeyUnavailable)) as caught:
        await EmbeddedStore.open(folder, keys=keys, clock=SetClock(), metrics=PrometheusMetrics())
    return str(caught.value)


async def test_a_file_of_a_newer_version_is_refused_with_both_versions(folder: Path) -> None:
    await fill(folder)
    alter(only_file(folder), f"PRAGMA user_version = {FORMAT_VERSION + 1}")
    sentence = await refusal(folder)
    assert sentence == f"2025-06-15.logs has format version {FORMAT_VERSION + 1}; this program reads {FORMAT_VERSION}."


@pytest.mark.parametrize("name", ["notes.logs", "2025-06-15 copy.logs", "2025-13-01.logs", "20250615.logs", ".logs"])
async def test_a_foreign_name_among_the_files_is_refused(folder: Path, name: str) -> None:
    await fill(folder)
    (folder / name).write_bytes(b"")
    sentence = await refusal(folder)
    assert sentence == f"{name} is not a file of this store; move it elsewhere."


@pytest.mark.parametrize("content", [b"", b"a text of somebody's\n" * 500, bytes(8192)], ids=["empty", "text", "zeros"])
async def test_a_foreign_file_under_a_days_name_is_refused_by_its_name(folder: Path, content: bytes) -> None:
    await fill(folder)
    (folder / "2025-06-14.logs").write_bytes(content)
    sentence = await refusal(folder)
    assert "2025-06-14.logs" in sentence


async def test_another_programs_database_is_refused_by_its_name(folder: Path) -> None:
    await fill(folder)
    with closing(apsw.Connection(os.fspath(folder / "2025-06-14.logs"))) as connection:
        connection.execute("CREATE TABLE t (x); PRAGMA user_version = 1").fetchall()
    assert "2025-06-14.logs" in await refusal(folder)


async def test_files_of_another_key_are_refused(folder: Path) -> None:
    await fill(folder)
    sentence = await refusal(folder, LocalKeyProvider([b"another" + bytes(25)]))
    assert "key" in sentence


async def test_a_refused_folder_is_left_as_it_was(folder: Path) -> None:
    await fill(folder)
    alter(only_file(folder), "PRAGMA user_version = 99")
    before = lasting(folder)
    await refusal(folder)
    assert lasting(folder) == before


# --- Damage: told to whoever asks for what is damaged, and to nobody else. ---

NTH_CHUNK = "(SELECT id FROM chunks ORDER BY id LIMIT 1 OFFSET {} - 1)"
OTHERS = f"(SELECT {{}} FROM chunks WHERE id = {NTH_CHUNK.format(1)})"


def with_another_byte(column: str, place: str) -> str:
    """SQL for a blob with another byte in this place, whatever is there."""
    byte = f"iif(substr({column}, {place}, 1) = x'00', x'01', x'00')"
    return f"CAST(substr({column}, 1, {place} - 1) || {byte} || substr({column}, {place} + 1) AS BLOB)"


DAMAGE = {
    "a byte of the body": f"body = {with_another_byte('body', '41')}",
    "a byte of the head": f"head = {with_another_byte('head', '21')}",
    "the nonce": f"body = {with_another_byte('body', '1')}",
    "the tag": f"body = {with_another_byte('body', 'length(body)')}",
    "a body cut short": "body = substr(body, 1, length(body) / 2)",
    "a body cut to its nonce": "body = substr(body, 1, 12)",
    "a body cut to a byte": "body = x'00'",
    "an empty body": "body = x''",
    "a longer body": "body = CAST(body || x'00' AS BLOB)",
    "a body that is text": "body = 'text'",
    "a body that is a number": "body = 5",
    "the body of another chunk": f"body = {OTHERS.format('body')}",
    "the head of another chunk": f"head = {OTHERS.format('head')}",
    "another chunk's frames": f"head = {OTHERS.format('head')}, body = {OTHERS.format('body')}",
    "the head as the body": "body = head",
    "the body as the head": "head = body",
    "the data key's number": "key_id = 77",
    "the number of the first record": "arrival_max = arrival_max + 1",
    "the newest time": "time_max = time_max + 1",
    "the oldest time": "time_min = time_min - 1",
}


@pytest.mark.parametrize("chunk", [3, CHUNKS], ids=["in the middle", "the newest"])
@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE)
async def test_damage_is_told_and_hides_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: str, chunk: int
) -> None:
    await fill(folder)
    alter(only_file(folder), f"UPDATE chunks SET {change} WHERE id = {NTH_CHUNK.format(chunk)}")
    monkeypatch.setattr(embedded_store, "TAIL_LOAD_BYTES_MAX", 1)
    async with embedded(folder) as store:
        with pytest.raises(StoreUnavailable):
            await read_all(store)
        for other in range(CHUNKS):
            asked = Query(since_ns=minute(other), until_ns=minute(other) + 10)
            if other == chunk - 1:
                with pytest.raises(StoreUnavailable):
                    await messages(store, asked)
            else:
                assert await messages(store, asked) == [f"{other}-{n}" for n in (2, 1, 0)]
        await store.append(batch_of(Given("goes on", minute(99))))
        assert store.failure is None
        assert await messages(store, Query(since_ns=minute(99))) == ["goes on"]


async def test_frames_of_another_days_file_do_not_open(folder: Path) -> None:
    clock = SetClock()
    await fill(folder, clock)
    clock.advance(DAY_NS)
    await fill(folder, clock, "next-")
    first, second = files(folder, "*.logs")
    alter(
        second,
        f"ATTACH '{first}' AS other",
        "CREATE TEMP TABLE pairs AS SELECT own.id, o.head, o.body"
        " FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM main.chunks) own"
        " JOIN (SELECT head, body, row_number() OVER (ORDER BY id) AS place FROM other.chunks) o USING (place)",
        "UPDATE chunks SET (head, body) = (SELECT head, body FROM pairs WHERE pairs.id = chunks.id)",
    )
    async with embedded(folder, clock) as store:
        with pytest.raises(StoreUnavailable):
            await read_all(store)


async def test_a_data_key_of_another_file_does_not_open(folder: Path) -> None:
    clock = SetClock()
    await fill(folder, clock)
    clock.advance(DAY_NS)
    await fill(folder, clock, "next-")
    first, second = files(folder, "*.logs")
    alter(second, f"ATTACH '{first}' AS other", "UPDATE data_keys SET wrapped = (SELECT wrapped FROM other.data_keys)")
    with pytest.raises((StoreUnavailable, KeyUnavailable)):
        await messages(await open_embedded(folder, clock))


@pytest.mark.parametrize(
    "receipt",
    [
        with_another_byte("receipt", "21"),
        "(SELECT receipt FROM before WHERE before.hash_high != retries.hash_high)",
    ],
    ids=["a byte", "another's"],
)
async def test_a_damaged_receipt_is_told_and_nothing_is_stored_twice(folder: Path, receipt: str) -> None:
    batches = [batch_of(Given(name, log_id=name), "beside", retry=retry_key(name)) for name in ("a", "b")]
    async with embedded(folder) as store:
        for batch in batches:
            await store.append(batch)
    copy = "CREATE TEMP TABLE before AS SELECT * FROM retries"
    alter(only_file(folder), copy, f"UPDATE retries SET receipt = {receipt}")
    async with embedded(folder) as store:
        for batch in batches:
            with pytest.raises(StoreUnavailable):
                await store.append(batch)
        assert len(await messages(store)) == 4
        await store.append(batch_of("goes on"))


@pytest.mark.parametrize("keep", [lambda size: size // 2, lambda _: 4096, lambda _: 100, lambda _: 0])
async def test_a_file_cut_short_is_refused_or_told_but_never_read_as_something_else(
    folder: Path, keep: Callable[[int], int]
) -> None:
    await fill(folder)
    path = only_file(folder)
    os.truncate(path, keep(path.stat().st_size))
    with pytest.raises(StoreUnavailable) as caught:
        async with embedded(folder) as store:
            await read_all(store)
    assert str(caught.value)


async def test_any_flipped_byte_is_told_or_changes_nothing(folder: Path) -> None:
    """One byte after another, all over the file: an answer is right, or it is an error."""
    await fill(folder)
    path = only_file(folder)
    original = path.read_bytes()
    async with embedded(folder) as store:
        truth = (await store.recent(everything())).logs
    answered = 0
    for place in range(5, len(original), 97):
        damaged = bytearray(original)
        damaged[place] ^= 0x5A
        for leftover in files(folder):
            leftover.unlink()
        path.write_bytes(damaged)
        try:
            async with embedded(folder) as store:
                found = (await store.recent(everything())).logs
        except (StoreUnavailable, KeyUnavailable):
            continue
        answered += 1
        for text in set(found) - set(truth):
            pytest.fail(f"byte {place} made {text!r} of the stored records")
    assert answered > 0
