"""What tests of the DynamoDB store share: faults that can be injected, and a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.faulty_dynamodb import FaultyDynamoDB, faulty_dynamodb
from support.stores import SetClock


@pytest.fixture
def proxy(dynamodb_url: str) -> Iterator[FaultyDynamoDB]:
    """What stands before the engine."""
    with faulty_dynamodb(dynamodb_url) as proxy:
        yield proxy


@pytest.fixture
def clock() -> SetClock:
    """The store's clock."""
    return SetClock()
