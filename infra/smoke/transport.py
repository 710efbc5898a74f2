"""Below and around single requests: which TLS versions the endpoint takes, and what it does past its rate."""

from __future__ import annotations

import os
import socket
import ssl
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

from infra.smoke.asking import Answer, Asker, Budget
from infra.smoke.findings import NotHeld, NotTested, expect
from infra.smoke.scene import Scene
from simple_log_service.client.endpoint import Endpoint
from simple_log_service.core.limits import THROTTLE_BURST_DEFAULT, THROTTLE_RATE_DEFAULT

HANDSHAKE_SECONDS_MAX = 10.0
THROTTLE_REQUESTS_MAX = 8_000
"""Some more than the stage's burst: what the check may cost, about three cents."""
THROTTLE_SECONDS_MAX = 60.0
_THROTTLE_THREADS = 64
VERSIONS = {
    "tls_1_0": ssl.TLSVersion.TLSv1,
    "tls_1_1": ssl.TLSVersion.TLSv1_1,
    "tls_1_2": ssl.TLSVersion.TLSv1_2,
}


def shake_hands(endpoint: Endpoint, version: str) -> str:
    """Offer one of ``VERSIONS`` alone. 1.2 must be taken, older ones refused by the endpoint."""
    scheme, _, authority = endpoint.base.partition("://")
    if scheme != "https":
        raise NotTested("the endpoint is plain HTTP")
    host, _, port = authority.partition(":")
    try:
        with (
            socket.create_connection((host, int(port or 443)), HANDSHAKE_SECONDS_MAX) as plain,
            _offering(VERSIONS[version]).wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            taken = f"{wrapped.version()} {wrapped.cipher()}"
    except ssl.SSLCertVerificationError:
        raise
    except (ssl.SSLError, ConnectionError) as error:
        refusal = getattr(error, "reason", None) or type(error).__name__
        if refusal in {"NO_PROTOCOLS_AVAILABLE", "NO_CIPHERS_AVAILABLE"}:
            raise NotTested(f"this machine's OpenSSL cannot offer it: {refusal}") from None
        expect(version != "tls_1_2", f"refused: {refusal}")
        return f"refused: {refusal}"
    expect(version == "tls_1_2", f"taken: {taken}")
    return f"taken: {taken}"


def _offering(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
    with warnings.catch_warnings():
        # Old versions are deprecated, which is why they must be refused, and so have to be offered.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    if version is not ssl.TLSVersion.TLSv1_2:
        # OpenSSL's default level leaves the old versions without a cipher, and would never get to ask.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def throttled_answer(scene: Scene) -> Answer:
    """Ask for single records until one request is refused with 429; bounded in requests and seconds.

    A machine that asks less often than the rate allows cannot find out: ``NotTested``.
    """
    if not scene.may_throttle:
        raise NotTested(f"it takes up to {THROTTLE_REQUESTS_MAX:,} requests: give --throttle")
    asker = Asker(
        scene.endpoint, scene.region, scene.caller.credentials, Budget(THROTTLE_REQUESTS_MAX + _THROTTLE_THREADS)
    )
    began = time.monotonic()
    asked = 0
    with ThreadPoolExecutor(_THROTTLE_THREADS) as pool:
        for answer in _answers(pool, asker, began + THROTTLE_SECONDS_MAX):
            asked += 1
            if answer.status == 429:
                pool.shutdown(wait=False, cancel_futures=True)
                return answer
    rate = asked / (time.monotonic() - began)
    if asked < THROTTLE_BURST_DEFAULT or rate < THROTTLE_RATE_DEFAULT:
        raise NotTested(f"no 429: this machine asked {rate:,.0f} requests a second, fewer than the rate allows")
    raise NotHeld(f"no 429 in {asked:,} requests, {rate:,.0f} a second")


def _answers(pool: ThreadPoolExecutor, asker: Asker, deadline: float) -> Iterator[Answer]:
    for _ in range(THROTTLE_REQUESTS_MAX // _THROTTLE_THREADS):
        if time.monotonic() > deadline:
            return
        asked = repeat(("GET", "/logs/recent", "limit=1&since=1s"), _THROTTLE_THREADS)
        yield from pool.map(lambda question: asker.ask(*question), asked)
