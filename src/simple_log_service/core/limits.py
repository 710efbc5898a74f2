"""Every bound that a caller or an operator can meet, in one place, each with what happens past it.

Names end in the unit and the direction (``_bytes_max``). Nothing else in the code base retypes these numbers. How much
a cache remembers, which nobody can tell from outside, stands beside the cache.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
SECOND_NS = 1_000_000_000
HOUR_NS = 3600 * SECOND_NS
DAY_NS = 24 * HOUR_NS

# --- One record: past any of these the record is rejected, with the reason, and the others are stored. ---

SERVICE_NAME_CHARS_MAX = 256
PATH_SERVICE_NAME_CHARS_MAX = 128
"""Of a name in ``/services/NAME/logs``; past it there is no such route."""
LOG_TYPE_CHARS_MAX = 128
LOG_ID_CHARS_MAX = 64
RECORD_BYTES_MAX = 256 * KIB
"""Message in UTF-8, metadata text and names together."""
RECORD_JSON_BYTES_MAX = 6 * RECORD_BYTES_MAX + 64 * KIB
"""The record as JSON text: room for each of its characters written as ``\\u0000``."""
METADATA_DEPTH_MAX = 31
"""The metadata object itself is the first level."""
INTEGER_DIGITS_MAX = 38
"""DynamoDB's precision; a longer integer would not come back equal."""
FUTURE_NS_MAX = 300 * SECOND_NS
"""How far ahead of the server's clock a record's timestamp may be."""
RETENTION_DAYS_DEFAULT = 30
RETENTION_DAYS_MAX = 3650
"""Of all records, or of a service's or type's own; past it the start is refused."""

# --- One request: past these the request is refused whole. ---

REQUEST_RECORDS_MAX = 10_000
"""400 past it."""
BODY_WIRE_BYTES_MAX = 4 * MIB
"""413 past it, before the rest is read."""
BODY_UNPACKED_BYTES_MAX = 32 * MIB
"""413 past it: unpacking stops there."""
DECODE_OFF_LOOP_BYTES_MIN = MIB
"""Plain bodies over this, and packed ones of any size, are decoded off the event loop's thread."""
IDEMPOTENCY_KEY_CHARS_MAX = 255
IDEMPOTENCY_NS_MIN = DAY_NS
"""How long a used key is remembered at least."""

# --- Reading. ---

PAGE_RECORDS_DEFAULT = 100
PAGE_RECORDS_MAX = 10_000
PAGE_BYTES_MAX = 5 * MIB // 2
"""A page ends early here; ``next_cursor`` goes on."""
STATS_BUCKETS_MAX = 1_500
"""400 past it, with an interval that fits."""
STATS_INTERVAL_NS_MAX = RETENTION_DAYS_MAX * DAY_NS
"""400 past it; no range is longer."""
STATS_BYTES_MAX = 4 * MIB
"""An answer with counts ends before it; ``next_cursor`` goes on. Lambda carries no more than 6 MB, as base64."""
STATS_COUNTS_MAX = 250_000
"""Numbers held while counting, by bucket and group; past it an answer ends early, and ``next_cursor`` goes on."""
READ_HOURS_DEFAULT = 24
READ_HOURS_MAX = 168
READ_SECONDS_MAX = 10.0
"""The embedded home answers what it found by then, with ``complete: false``."""
CURSOR_CHARS_MAX = 512

# --- Searching: 400 past these. ---

SEARCH_CHARS_MAX = 1024
"""Of ``q``."""
SEARCH_TERMS_MAX = 32
"""Words, beginnings of words and phrases in one ``q``, excluded ones included."""
PATTERN_CHARS_MAX = 1024
PATTERN_MEMORY_BYTES_MAX = MIB
"""What RE2 may take for one pattern; 400 for a pattern that does not fit, and slower past it while searching."""
FIELDS_MAX = 8
"""Different ``metadata.KEY=VALUE`` in one request."""
FIELD_KEY_CHARS_MAX = 256
FIELD_VALUE_CHARS_MAX = 1024
SEARCH_STEP_SECONDS = 0.01
"""A read that searches looks at the time so often, even in the midst of one run: a hard pattern takes seconds a MiB."""

# --- The DynamoDB store. ---

DYNAMODB_READ_SECONDS_MAX = 4.0
"""The AWS home answers what it found by then, with ``complete: false``."""
DYNAMODB_READS_AT_ONCE_MAX = 24
"""Of one server, which has 32 threads for requests; 503 past it, so that writes are never behind reads alone."""
DYNAMODB_REPEAT_SECONDS_MAX = 2.0
"""How long calls that are turned away are repeated; what is left to write then is rejected as throttled, with 429."""
DYNAMODB_REQUEST_SECONDS_MAX = 10.0
"""A request that writes begins no call after this."""
DYNAMODB_SETTLED_NS = 20 * SECOND_NS
"""After this no request still writes that took a caller's id: its own time, and that of the last call it began."""
DYNAMODB_ENTRY_BYTES_MAX = 2 * KIB
"""A frame up to this stands in its entry, and a lone record up to this as it is; past it in a body of its own."""
DYNAMODB_BODY_BYTES_MAX = 32 * KIB
"""Several records whose frame is larger are split; a lone record's may be larger."""
DYNAMODB_ENTRY_RECORDS_MAX = 1000
"""However small they are: a reader opens an entry whole."""
DYNAMODB_SPAN_NS_MAX = 60 * SECOND_NS
"""From the first to the last record of an entry. A constant of the format: readers look so far ahead."""
TYPE_SHARDS_MAX = 100
"""Partitions of the index that a hot type may be spread over: two digits tell them apart."""
LOG_TYPES_PER_DAY_MAX = 64
"""Of records' timestamps, UTC; on DynamoDB records of further types are rejected."""

# --- The listener. ---

HEAD_BYTES_MAX = 10 * KIB
"""Request line and headers; 431 past it."""
HEAD_SECONDS_MAX = 10.0
"""From the first byte of a request to the end of its headers; 408 past it."""
BODY_SECONDS_MIN = 10.0
BODY_BYTES_PER_SECOND_MIN = 32 * KIB
"""A body has so many seconds, and one more for every so many bytes that have come; 408 past it."""
BODY_SECONDS_MAX = 60.0
"""From the end of the headers to the end of the body, whatever has come; 408 past it."""
IDLE_SECONDS_MAX = 120.0
"""A kept-alive connection without a request is closed after this."""
BUFFERED_BYTES_MAX = 256 * MIB
"""All bodies in memory together; past it sockets are not read until some are answered."""
UNSENT_BYTES_MAX = 128 * MIB
"""All answers together that clients are slow to take; past it those that began first are aborted."""
CONNECTIONS_MAX = 10_000
"""Past it a new connection is closed at once."""
DESCRIPTORS_RESERVED = 256
"""Of the process's open files: connections leave so many to the store, or half of them where there are fewer."""

# --- The rate: 429 past it. API Gateway's own figures. ---

THROTTLE_RATE_DEFAULT = 10_000
THROTTLE_BURST_DEFAULT = 5_000

# --- Identity. ---

CLOCK_SKEW_SECONDS_MAX = 300
TEMPORARY_KEY_SECONDS_MIN = 1
TEMPORARY_KEY_SECONDS_MAX = 36 * 3600
"""AWS STS's longest session."""
ACCESS_KEYS_MAX = 5_000
"""Past it no key is made: the embedded home reads its whole file of keys again whenever that changes."""

# --- The embedded store. ---

GROUP_RECORDS_MAX = 50_000
GROUP_TEXT_BYTES_MAX = 8 * MIB
"""One group commit takes requests up to about these; what is over waits for the next one."""
BLOCK_RECORDS_MAX = 50_000
"""Merged records in one file; its places are 16 bits wide."""
LEAF_TEXT_BYTES_MAX = MIB
"""What is opened of a block at once, but for a larger record alone."""
MERGE_TEXT_BYTES_MAX = 64 * MIB
"""What a merge holds in memory; a block of larger records holds fewer of them."""
MERGE_RECORDS_MAX = 200_000
"""What one merge takes, at least one chunk or block; the rest waits for the next one."""
MERGE_QUIET_SECONDS = 5.0
"""Once nothing has come for so long, fewer records than a block's are merged, too."""
MERGE_QUIET_RECORDS_MIN = 4096
MERGE_CHUNKS_MAX = 1024
"""Fresh chunks of one file, however small, past which they are merged."""
MERGE_PAUSE_SECONDS = 30.0
"""After a merge that failed."""
EXPIRY_SECONDS = 60.0
"""How often what has expired, or is too much, is looked for and removed."""
EXPIRED_SHARE_MIN = 0.25
"""Of a block's records, so many have to have expired before it is written anew without them."""
CLOCK_TRUST_SECONDS = 3600.0
"""Nothing expires until the wall clock has gone on like the monotonic one for so long."""
CLOCK_DRIFT_SECONDS_MAX = 60.0
"""Between two looks at both clocks; past it the wall clock has jumped."""
MERGE_SECONDS_MAX = 900.0
HELPER_SECONDS_MAX = 60.0
"""A helper process that has not answered a merge, or a search, by then is stuck, and is ended."""
SEARCHES_WAITING_MAX = 48
"""Searches, and counts that look into files, under way together; 503 past it, so that reads are never behind them."""
READS_WAITING_MAX = 64
"""Reads of files that wait for a thread; 503 past it."""
TAIL_BYTES_MAX = 48 * MIB
"""The newest records kept in memory; older ones are read from the files."""
TAIL_LOAD_BYTES_MAX = 8 * MIB
"""How much of it is filled at start, so that starting stays quick."""
WAL_BYTES_MAX = 16 * MIB
"""The write-ahead log is folded into its file past this."""
CHUNK_CACHE_BYTES_MAX = 24 * MIB
"""Opened chunks kept for the next page of the same reader."""
LEAF_CACHE_BYTES_MAX = 24 * MIB
"""Opened leaves of merged blocks, for the same reason."""
MERGE_CACHE_BYTES_MAX = 16 * MIB
"""Opened chunks, while they are merged: one may reach into several blocks."""
BLOCK_CACHE_BYTES_MAX = 32 * MIB
"""Indexes of merged blocks; others are read again."""
COUNTS_CACHE_BYTES_MAX = 16 * MIB
"""Counters of whole merged blocks, by what records are counted by."""
FILTER_CACHE_BYTES_MAX = 48 * MIB
"""Token filters of merged blocks, in the process that searches; others are read again."""
STORE_SIZE_BYTES_MIN = 256 * MIB
"""Of the size that an operator allows the store; below it the start is refused: the newest records need some room."""

# --- Erasing on purpose. ---

ERASURE_REQUEST_BYTES_MAX = 64 * KIB
"""Of a request's file; a longer one is refused."""
ERASURE_POLL_SECONDS = 0.5
"""How often the server looks for requests, and says how far it is."""
ERASURE_PAUSE_SECONDS = 30.0
"""After an erasure that could not be finished, for a full disk for instance."""
ERASURE_ANSWER_SECONDS = 3600
"""Answers that nobody has come for are removed at the first start after this."""
