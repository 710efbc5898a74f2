"""Unpacking: exact, bounded in memory however far a few bytes unfold, and strict about where the data ends."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable
from functools import partial

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.api.bodies import is_ndjson, unpack
from simple_log_service.core.errors import BodyTooLarge, InvalidRequest, UnsupportedEncoding
from simple_log_service.core.limits import BODY_UNPACKED_BYTES_MAX, BODY_WIRE_BYTES_MAX, KIB

PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": partial(gzip.compress, mtime=0), "zstd": zstandard.compress}

in_each_encoding = pytest.mark.parametrize("encoding", PACKERS)


def refusal(body: bytes, encoding: str) -> str:
    with pytest.raises(InvalidRequest) as refused:
        unpack(body, encoding)
    return str(refused.value)


# --- What goes through. ---


@in_each_encoding
@given(content=st.binary() | st.builds(lambda unit, times: unit * times, st.binary(max_size=20), st.integers(0, 9000)))
def test_what_was_packed_is_unpacked_exactly(encoding: str, content: bytes) -> None:
    assert unpack(PACKERS[encoding](content), encoding) == content


@pytest.mark.parametrize("encoding", [None, "", "identity", "Identity", " identity "])
def test_a_body_without_an_encoding_is_left_as_it_is(encoding: str | None) -> None:
    body = PACKERS["gzip"](b"not for us to unpack")
    assert unpack(body, encoding) is body


@pytest.mark.parametrize(
    ("name", "encoding"), [("GZIP", "gzip"), (" gzip ", "gzip"), ("x-gzip", "gzip"), ("Zstd", "zstd")]
)
def test_an_encoding_is_known_by_its_other_spellings(name: str, encoding: str) -> None:
    assert unpack(PACKERS[encoding](b"hello"), name) == b"hello"


@pytest.mark.parametrize(
    "name", ["br", "deflate", "compress", "gzip, zstd", "gzip,gzip", "gzip;q=1", "zst", "\x00", "gzïp"]
)
def test_another_encoding_is_unsupported(name: str) -> None:
    with pytest.raises(UnsupportedEncoding, match="gzip, zstd or identity"):
        unpack(b"", name)


@pytest.mark.parametrize("level", [1, 3, 10, 19])
def test_zstd_of_every_usual_level_and_option_is_unpacked(level: int) -> None:
    content = b"some log line, and another one\n" * 50_000
    with_checksum = zstandard.ZstdCompressor(level, write_checksum=True).compress(content)
    without_size = zstandard.ZstdCompressor(level, write_content_size=False).compress(content)
    stream = zstandard.ZstdCompressor(level).compressobj()
    streamed = b"".join(stream.compress(content[start : start + 1000]) for start in range(0, len(content), 1000))
    for packed in (with_checksum, without_size, streamed + stream.flush()):
        assert unpack(packed, "zstd") == content


@in_each_encoding
def test_a_packed_body_of_nothing_is_nothing(encoding: str) -> None:
    assert unpack(PACKERS[encoding](b""), encoding) == b""


# --- Where the data ends. ---


@in_each_encoding
@given(content=st.binary(max_size=3000), data=st.data())
def test_a_body_cut_anywhere_is_refused(encoding: str, content: bytes, data: st.DataObject) -> None:
    packed = PACKERS[encoding](content)
    cut = data.draw(st.integers(0, len(packed) - 1))
    assert refusal(packed[:cut], encoding) == f"The body ends before its {encoding} data does."


@in_each_encoding
@given(content=st.binary(max_size=3000), rest=st.binary(min_size=1, max_size=2000))
def test_bytes_behind_the_data_are_refused(encoding: str, content: bytes, rest: bytes) -> None:
    assert refusal(PACKERS[encoding](content) + rest, encoding) == f"The body goes on after its {encoding} data."


@in_each_encoding
@pytest.mark.parametrize("content", [b"", b"hello", bytes(5000)])
def test_a_second_member_or_frame_counts_as_bytes_behind_the_data(encoding: str, content: bytes) -> None:
    packed = PACKERS[encoding](content)
    assert refusal(packed + packed, encoding) == f"The body goes on after its {encoding} data."


@pytest.mark.parametrize("size", range(1000, 1050))
def test_data_that_ends_near_a_step_of_the_unpacker_ends_there(size: int) -> None:
    content = random.Random(size).randbytes(size)
    packed = zstandard.ZstdCompressor(write_content_size=False).compress(content)
    assert unpack(packed, "zstd") == content
    assert "goes on" in refusal(packed + b"x", "zstd")
    assert "goes on" in refusal(packed + b"x" * 2000, "zstd")
    assert "ends before" in refusal(packed[:-1], "zstd")


@in_each_encoding
@given(content=st.binary(max_size=300), data=st.data())
def test_a_damaged_body_is_refused_or_still_within_its_bounds(
    encoding: str, content: bytes, data: st.DataObject
) -> None:
    packed = bytearray(PACKERS[encoding](content))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    try:
        unpacked = unpack(bytes(packed), encoding)
    except (InvalidRequest, BodyTooLarge):
        return
    # zstd without a checksum cannot tell; gzip's header holds bytes that mean nothing to the content.
    assert len(unpacked) <= BODY_UNPACKED_BYTES_MAX
    assert encoding == "zstd" or unpacked == content


def test_a_wrong_checksum_is_refused() -> None:
    packed = PACKERS["gzip"](b"hello")
    assert refusal(packed[:-8] + bytes(4) + packed[-4:], "gzip") == "The body is not valid gzip."
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(b"hello")
    assert refusal(packed[:-1] + bytes([packed[-1] ^ 1]), "zstd") == "The body is not valid zstd."


@in_each_encoding
@pytest.mark.parametrize("body", [b"plain text", b'{"message":"m"}', bytes(100), zlib.compress(b"zlib, not gzip")])
def test_what_was_not_packed_is_refused(encoding: str, body: bytes) -> None:
    assert refusal(body, encoding) == f"The body is not valid {encoding}."


@in_each_encoding
def test_an_empty_body_is_no_packed_one(encoding: str) -> None:
    assert "ends before" in refusal(b"", encoding)


def test_zstd_that_needs_a_dictionary_is_refused() -> None:
    dictionary = zstandard.train_dictionary(1000, [b"hello world %d" % number * 10 for number in range(1000)])
    packed = zstandard.ZstdCompressor(dict_data=dictionary).compress(b"hello world 5")
    assert refusal(packed, "zstd") == "The body is not valid zstd."


@pytest.mark.parametrize("window_log", [24, 27, 31, 41])
def test_zstd_that_asks_for_a_window_of_more_than_8_mib_is_refused_before_it_gets_one(window_log: int) -> None:
    # RFC 8878, section 3.1.1.1.2: the exponent, less 10, in the upper five bits.
    frame = b"\x28\xb5\x2f\xfd" + bytes([0x00, window_log - 10 << 3]) + rle_block(b"a", 100, last=True)
    tracemalloc.start()
    try:
        assert refusal(frame, "zstd") == "The body is not valid zstd."
        assert tracemalloc.get_traced_memory()[1] < 16 * KIB * KIB
    finally:
        tracemalloc.stop()


# --- Bombs. ---


def rle_block(byte: bytes, size: int, *, last: bool = False) -> bytes:
    """RFC 8878, section 3.1.1.2: four bytes that stand for up to 128 KiB of one byte."""
    return (size << 3 | 1 << 1 | last).to_bytes(3, "little") + byte


def zstd_bomb(blocks: int) -> bytes:
    """A frame with a window of 8 MiB and no content size, which unfolds to 128 KiB for each block of four bytes."""
    return (
        b"\x28\xb5\x2f\xfd"
        + bytes([0x00, 13 << 3])
        + rle_block(b"a", 128 * KIB) * blocks
        + rle_block(b"a", 0, last=True)
    )


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "gzip 1000:1": (lambda: PACKERS["gzip"](bytes(256 * KIB * KIB)), "gzip"),
    "zstd 30000:1": (lambda: PACKERS["zstd"](bytes(256 * KIB * KIB)), "zstd"),
    "zstd 32768:1, 128 GiB": (lambda: zstd_bomb(BODY_WIRE_BYTES_MAX // 4 - 10), "zstd"),
    "one byte too much in gzip": (lambda: PACKERS["gzip"](bytes(BODY_UNPACKED_BYTES_MAX + 1)), "gzip"),
    "one byte too much in zstd": (lambda: PACKERS["zstd"](bytes(BODY_UNPACKED_BYTES_MAX + 1)), "zstd"),
    "one block too much in zstd": (lambda: zstd_bomb(257), "zstd"),
}


@pytest.mark.parametrize(("bomb", "encoding"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_found_out_in_bounded_memory(bomb: Callable[[], bytes], encoding: str) -> None:
    packed = bomb()
    assert len(packed) <= BODY_WIRE_BYTES_MAX
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            unpack(packed, encoding)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2.5 * BODY_UNPACKED_BYTES_MAX


@pytest.mark.parametrize("size", [BODY_UNPACKED_BYTES_MAX - 1, BODY_UNPACKED_BYTES_MAX])
@in_each_encoding
def test_a_body_of_the_largest_size_is_unpacked(encoding: str, size: int) -> None:
    assert len(unpack(PACKERS[encoding](bytes(size)), encoding)) == size


# --- Formats. ---


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-ndjson",
        "Application/X-NDJSON",
        "application/ndjson",
        "application/jsonl",
        "application/x-ndjson ; charset=utf-8",
    ],
)
def test_ndjson_is_known_by_its_types(content_type: str) -> None:
    assert is_ndjson(content_type)


@pytest.mark.parametrize(
    "content_type",
    [None, "", "application/json", "text/plain", "application/x-www-form-urlencoded", "x; application/x-ndjson"],
)
def test_every_other_type_is_read_as_json(content_type: str | None) -> None:
    assert not is_ndjson(content_type)
