"""Batches joined into columns: each record keeps what is its own, in the order of arrival."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.core.batch import Batch
from simple_log_service.core.columns import Columns
from unit.strategies import batches

Row = tuple[str, str, str, int, str, bytes, str | None]


def rows_of_batch(batch: Batch) -> list[Row]:
    log_ids = batch.log_ids or [None] * len(batch)
    columns = (batch.service_names, batch.log_types, batch.levels, batch.timestamps, batch.messages, batch.metadata)
    return list(zip(*columns, log_ids, strict=True))


def rows_of_columns(columns: Columns) -> list[Row]:
    return [
        (*columns.kinds[kind], timestamp, message, metadata, columns.log_ids.get(place))
        for place, (kind, timestamp, message, metadata) in enumerate(
            zip(columns.kind_places, columns.timestamps, columns.messages, columns.metadata, strict=True)
        )
    ]


@given(st.lists(batches(), min_size=1, max_size=4))
def test_joined_batches_hold_every_record_in_order(joined: list[Batch]) -> None:
    columns = Columns.of(joined)
    assert rows_of_columns(columns) == [row for batch in joined for row in rows_of_batch(batch)]
    assert len(columns) == sum(map(len, joined))


@given(st.lists(batches(), min_size=1, max_size=4))
def test_kinds_are_distinct_and_each_has_a_record(joined: list[Batch]) -> None:
    columns = Columns.of(joined)
    assert len(set(columns.kinds)) == len(columns.kinds)
    assert set(columns.kind_places) == set(range(len(columns.kinds)))


@given(st.lists(batches(), min_size=1, max_size=3))
def test_joining_leaves_the_batches_as_they_were(joined: list[Batch]) -> None:
    before = deepcopy(joined)
    Columns.of(joined)
    assert joined == before


def test_no_batches_are_no_records() -> None:
    assert len(Columns.of([])) == 0
