"""A proxy before a DynamoDB engine that fails as DynamoDB does, by a script of rules, and remembers every call.

    with faulty_dynamodb(engine_url) as proxy:
        proxy.inject(THROTTLED, "BatchWriteItem", times=2)
        ...
        assert proxy.count("BatchWriteItem") == 3

Of the rules that fit a call, the first one acts. Codes and texts are those of "Error handling with DynamoDB"
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html). A call that is not signed
for DynamoDB is refused, whatever the rules say.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import urllib3

from support.loopback import Received, Reply, answering

_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/ ,]+)/\d{8}/[a-z0-9-]+/dynamodb/aws4_request, "
    r"SignedHeaders=(?=[a-z0-9;-]*\bhost\b)(?=[a-z0-9;-]*\bx-amz-date\b)(?=[a-z0-9;-]*\bx-amz-target\b)[a-z0-9;-]+, "
    r"Signature=[0-9a-f]{64}"
)
_DYNAMODB = "com.amazonaws.dynamodb.v20120810"
_SERVICE = "com.amazon.coral.service"
_MAX_WAIT_SECONDS = 60

Json = dict[str, Any]
Predicate = Callable[[Json], bool]


class Call(NamedTuple):
    """A call as it came, and what was answered: ``None`` where the answer never reached the caller.

    ``carried_out`` says whether the engine was asked, in whole or in part; ``access_key_id`` is of who signed.
    """

    operation: str
    parameters: Json
    status: int | None
    response: Json | None
    carried_out: bool
    access_key_id: str


class Exchange:
    """One call on its way; a fault decides what becomes of it."""

    def __init__(self, operation: str, parameters: Json, send: Callable[[Json], tuple[int, Json]]) -> None:
        self.operation = operation
        self.parameters = parameters
        self.carried_out = False
        self._send = send

    def forward(self, parameters: Json | None = None) -> tuple[int, Json]:
        """Have the engine carry the call out, as it is or with other parameters; status and decoded answer."""
        self.carried_out = True
        return self._send(self.parameters if parameters is None else parameters)


Fault = Callable[[Exchange], tuple[int, Json] | None]
"""What becomes of a call: status and answer, or ``None`` where the connection breaks instead."""


class Rule:
    """When a fault acts: on calls of ``operation`` for which ``when`` holds, ``after`` so many, ``times`` often."""

    def __init__(self, fault: Fault, operation: str | None, times: int | None, after: int, when: Predicate) -> None:
        self.fault = fault
        self.operation = operation
        self.when = when
        self.acted = 0
        self._times = times
        self._skip = after

    def takes(self, operation: str, parameters: Json) -> bool:
        """Whether it acts on this call, which counts as one that it has met."""
        if self.operation not in {None, operation} or self.acted == self._times or not self.when(parameters):
            return False
        if self._skip:
            self._skip -= 1
            return False
        self.acted += 1
        return True


class FaultyDynamoDB:
    """The proxy. ``calls`` grows as calls are answered; ``endpoint_url`` is for clients."""

    def __init__(self, engine_url: str, pool: urllib3.PoolManager) -> None:
        self.endpoint_url = ""
        self.calls: list[Call] = []
        self._engine_url = engine_url
        self._pool = pool
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def inject(
        self,
        fault: Fault,
        operation: str | None = None,
        *,
        times: int | None = None,
        after: int = 0,
        when: Predicate = lambda parameters: True,
    ) -> Rule:
        """Add a rule; without ``times`` it acts until ``heal``."""
        rule = Rule(fault, operation, times, after, when)
        self._rules.append(rule)
        return rule

    def heal(self) -> None:
        """Drop every rule."""
        self._rules = []

    def of(self, operation: str) -> list[Call]:
        """The calls of one operation, in order."""
        return [call for call in self.calls if call.operation == operation]

    def count(self, operation: str) -> int:
        """How many calls of one operation there were."""
        return len(self.of(operation))

    def answer(self, received: Received) -> Reply | None:
        """What a call gets; ``None`` breaks the connection."""
        operation = (received.header("x-amz-target") or "").partition(".")[2]
        parameters: Json = json.loads(received.body)
        signed = _SIGNED.fullmatch(received.header("authorization") or "")
        if signed is None:
            return _reply(*_error(_SERVICE, "MissingAuthenticationTokenException", "Request is not signed."))

        def send(changed: Json) -> tuple[int, Json]:
            headers = {name: value for name, value in received.headers if name.lower() not in _OF_THIS_HOP}
            url = self._engine_url + received.target
            answer = self._pool.urlopen(received.method, url, body=json.dumps(changed).encode(), headers=headers)
            return answer.status, answer.json()

        exchange = Exchange(operation, parameters, send)
        with self._lock:
            rule = next((rule for rule in self._rules if rule.takes(operation, parameters)), None)
        answered = exchange.forward() if rule is None else rule.fault(exchange)
        status, response = answered or (None, None)
        self.calls.append(Call(operation, parameters, status, response, exchange.carried_out, signed[1]))
        return None if answered is None else _reply(*answered)


_OF_THIS_HOP = {"host", "content-length", "connection", "accept-encoding"}


@contextmanager
def faulty_dynamodb(engine_url: str) -> Iterator[FaultyDynamoDB]:
    """A proxy before the engine at that URL, without rules at first."""
    with urllib3.PoolManager(maxsize=32, retries=False, timeout=30) as pool:
        proxy = FaultyDynamoDB(engine_url, pool)
        with answering(proxy.answer) as proxy.endpoint_url:
            yield proxy


def _reply(status: int, response: Json) -> Reply:
    headers = [("Content-Type", "application/x-amz-json-1.0"), ("x-amzn-RequestId", str(uuid.uuid4()))]
    return Reply(status, headers, json.dumps(response).encode())


# --- Faults. ---


def _error(namespace: str, code: str, message: str, status: int = 400) -> tuple[int, Json]:
    return status, {"__type": f"{namespace}#{code}", "message": message}


def refused(code: str, message: str, status: int = 400, *, namespace: str = _DYNAMODB) -> Fault:
    """Every call that it takes is refused, and not carried out."""
    return lambda exchange: _error(namespace, code, message, status)


THROTTLED = refused(
    "ProvisionedThroughputExceededException",
    "The level of configured provisioned throughput for the table was exceeded. Consider increasing your "
    "provisioning level with the UpdateTable API.",
)
THROTTLING = refused("ThrottlingException", "Rate of requests exceeds the allowed throughput.", namespace=_SERVICE)
EXPIRED_TOKEN = refused(
    "ExpiredTokenException", "The security token included in the request is expired", namespace=_SERVICE
)
CLOCK_SKEW = refused(
    "InvalidSignatureException",
    "Signature expired: 20210309T162431Z is now earlier than 20210309T163358Z (20210309T163858Z - 5 min.)",
    namespace=_SERVICE,
)
ACCESS_DENIED = refused(
    "AccessDeniedException",
    "User: arn:aws:sts::123456789012:assumed-role/ingest/function is not authorized to perform: dynamodb:PutItem",
    namespace=_SERVICE,
)
MISSING_TABLE = refused("ResourceNotFoundException", "Requested resource not found")
VALIDATION = refused("ValidationException", "One or more parameter values were invalid", namespace=_SERVICE)
INTERNAL_ERROR = refused("InternalServerError", "The request processing has failed because of an unknown error", 500)
UNAVAILABLE = refused("ServiceUnavailable", "The service is temporarily unavailable", 503)


def cut_before(exchange: Exchange) -> None:
    """The connection breaks, and nothing is carried out."""


def cut_after(exchange: Exchange) -> None:
    """The call is carried out, and its answer is lost: the caller cannot know."""
    exchange.forward()


def internal_error_after(exchange: Exchange) -> tuple[int, Json]:
    """The call is carried out, and answered 500."""
    exchange.forward()
    answered = INTERNAL_ERROR(exchange)
    assert answered is not None
    return answered


def delayed(seconds: float) -> Fault:
    """The call is carried out, later."""

    def fault(exchange: Exchange) -> tuple[int, Json]:
        time.sleep(seconds)
        return exchange.forward()

    return fault


def held(gate: threading.Event) -> Fault:
    """The call is carried out once the gate is open."""

    def fault(exchange: Exchange) -> tuple[int, Json]:
        assert gate.wait(_MAX_WAIT_SECONDS), "nobody opened the gate"
        return exchange.forward()

    return fault


def unprocessed(chosen: Predicate) -> Fault:
    """A BatchWriteItem carries out all but the chosen items; it is throttled whole where they all are chosen."""
    return _partly("UnprocessedItems", lambda requests: _split(requests, lambda each: chosen(_item_of(each))))


def unread(chosen: Predicate) -> Fault:
    """A BatchGetItem reads all but the chosen keys; it is throttled whole where they all are chosen."""

    def split(asked: Json) -> tuple[Json, Json]:
        kept, left = _split(asked["Keys"], chosen)
        return {**asked, "Keys": kept}, {**asked, "Keys": left}

    return _partly("UnprocessedKeys", split, is_empty=lambda asked: not asked["Keys"])


def _partly(
    member: str, split: Callable[[Any], tuple[Any, Any]], is_empty: Callable[[Any], bool] = lambda part: not part
) -> Fault:
    def fault(exchange: Exchange) -> tuple[int, Json] | None:
        parts = {table: split(asked) for table, asked in exchange.parameters["RequestItems"].items()}
        kept = {table: part for table, (part, _) in parts.items() if not is_empty(part)}
        left = {table: part for table, (_, part) in parts.items() if not is_empty(part)}
        if not kept:
            return THROTTLED(exchange)
        status, response = exchange.forward({**exchange.parameters, "RequestItems": kept})
        return (status, {**response, member: left}) if status == 200 else (status, response)

    return fault


def _split(everything: list[Json], chosen: Predicate) -> tuple[list[Json], list[Json]]:
    left = [each for each in everything if chosen(each)]
    return [each for each in everything if each not in left], left


def _item_of(request: Json) -> Json:
    item: Json = request["PutRequest"]["Item"] if "PutRequest" in request else request["DeleteRequest"]["Key"]
    return item


def written_items(parameters: Json) -> list[Json]:
    """The items that a call would put, or the keys that it would update or delete."""
    if "RequestItems" in parameters:
        return [_item_of(each) for requests in parameters["RequestItems"].values() for each in requests]
    return [parameters.get("Item") or parameters["Key"]]


def writes(chosen: Predicate) -> Predicate:
    """For ``when``: calls that write an item which is chosen, a poisoned one for instance."""
    return lambda parameters: any(map(chosen, written_items(parameters)))
