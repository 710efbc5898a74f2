"""What this machine can do at most in each part: on one core of this process or on the disk, with nothing around it."""

from __future__ import annotations

import gc
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.requests import Request
from bench.targets.own import REGION
from simple_log_service.api.access_key import AccessKey
from simple_log_service.api.identity import Principal
from simple_log_service.api.policy import ADMIN, Policy
from simple_log_service.api.signer import Credentials
from simple_log_service.api.sigv4 import Verifier
from simple_log_service.core.decode import decode_batch
from simple_log_service.core.limits import DAY_NS, FUTURE_NS_MAX, KIB
from simple_log_service.core.validation import Rules
from simple_log_service.server.http.head import read_head


def decoded_per_second(bodies: Sequence[bytes]) -> float:
    """Bodies that the codec decodes and validates in a second."""
    now_ns = time.time_ns()
    rules = Rules(now_ns, now_ns - DAY_NS, now_ns + FUTURE_NS_MAX)

    def decode_all() -> None:
        for body in bodies:
            decode_batch(body, rules)

    return len(bodies) / _seconds(decode_all)


def verified_per_second(requests: Sequence[Request], credentials: Credentials) -> float:
    """Requests whose signature is verified in a second, body hash included, the head having been read."""
    principal = Principal(credentials.access_key_id, "arn", "arn")
    key = AccessKey(
        credentials.access_key_id, credentials.secret_access_key, principal, Policy.parse(ADMIN), None, None
    )
    verifier = Verifier({key.access_key_id: key}.get, region=REGION, clock=time.time)
    read = [(read_head(head, "127.0.0.1", False, "id", 0)[0], body) for head, body in requests]

    def verify_all() -> None:
        for head, body in read:
            verifier.check_head(head).verify(hashlib.sha256(body).hexdigest())

    return len(requests) / _seconds(verify_all)


def fdatasync_ms(folder: Path, times: int) -> list[float]:
    """How long it took each time until 4 KiB more were on disk, the shortest first."""
    took: list[float] = []
    path = folder / "fdatasync"
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(bytes(4 * KIB))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    path.unlink()
    return sorted(took)


def _seconds(work: Callable[[], None]) -> float:
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began
    finally:
        gc.enable()
