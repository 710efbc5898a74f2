"""The stream's consumer over real connections to the stubs, and Lambda's side of it: to bring again what failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from time import monotonic
from typing import Any

import botocore.session
import pytest

from simple_log_service.aws.settings import read_settings
from simple_log_service.aws.stream.consumer import Consumer
from simple_log_service.aws.stream.home import ConsumerSettings, consumer_of
from simple_log_service.stores.dynamodb.patience import Patience
from support.stream_events import event, sequence_number
from support.stub_sinks import ACCESS_KEY_ID, SECRET, StubSinks

ROUNDS_MAX = 50


class Invocation:
    """The context of an invocation."""

    aws_request_id = "lambda-1"

    def __init__(self, remaining_ms: int = 60_000) -> None:
        self.remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


def no_waiting(deadline: float) -> Patience:
    """Repeats as often as it takes without a pause, for as long as a test may take."""
    return Patience(min(deadline, monotonic() + 20), 20, pause=lambda _: None)


def no_repeats(deadline: float) -> Patience:
    """Gives up at the first failure."""
    return Patience(deadline, 0)


@cache
def _session() -> botocore.session.Session:
    """One for all: most of the time that a new one takes goes into reading the services' descriptions."""
    session = botocore.session.Session()
    session.set_credentials(ACCESS_KEY_ID, SECRET, "token")
    return session


@contextmanager
def consuming(*, patience: Any = no_waiting, **environ: str) -> Iterator[tuple[StubSinks, Consumer]]:
    """The stubs, and a consumer whose environment names them; an empty variable takes one away."""
    with pytest.MonkeyPatch.context() as patch, StubSinks().running() as stub:
        patch.setattr(botocore.session, "get_session", _session)
        given = {name: value for name, value in (stub.environ | environ).items() if value}
        yield stub, consumer_of(read_settings(given, ConsumerSettings), patience=patience)


def failed_at(answer: dict[str, Any]) -> list[str]:
    """The sequence numbers that an answer names."""
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def bring_until_done(consumer: Consumer, data: Sequence[str]) -> int:
    """What Lambda does with ``ReportBatchItemFailures``: goes on from the first that failed. The number of rounds."""
    first = 0
    for rounds in range(1, ROUNDS_MAX + 1):
        failed = failed_at(consumer(event(data[first:], first), Invocation()))
        if not failed:
            return rounds
        first = next(place for place in range(first, len(data)) if sequence_number(place) == failed[0])
    raise AssertionError(f"not done after {ROUNDS_MAX} rounds")
