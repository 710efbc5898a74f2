"""``infra.assumptions``, asked: each row is one check, which says what the endpoint really answered."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from functools import partial

import msgspec
import zstandard

from infra.assumptions import ASSUMPTIONS, Ask, Assumption
from infra.smoke.asking import Answer, Headers
from infra.smoke.findings import Check, NotTested, expect
from infra.smoke.scene import Scene
from infra.smoke.transport import VERSIONS, shake_hands, throttled_answer

_MESSAGE = msgspec.json.Decoder(dict[str, str])
_PACKERS: Mapping[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}


def asked(scene: Scene, request: Ask) -> Answer:
    """The answer to an assumption's request, asked as whom it says, about services of this run."""
    headers: Headers = request.headers
    if request.packing:
        headers = (*headers, ("Content-Encoding", request.packing))
    text = _filled(request.body, scene).encode()
    body = _PACKERS[request.packing](text + b" " * request.padding_bytes)
    return scene.asker(request.signer).ask(
        request.method,
        _filled(request.path, scene),
        _filled(request.query, scene),
        headers,
        body,
        spoiling=request.spoiling,
    )


def matches(pattern: str, text: str) -> bool:
    """Whether the text is as the pattern says, ``*`` standing for any text."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def message_matches(pattern: str, text: str) -> bool:
    """Whether both are JSON objects with one member, the text's as the pattern says, but that it may go on."""
    try:
        ((wanted_name, wanted),) = _MESSAGE.decode(pattern).items()
        ((name, message),) = _MESSAGE.decode(text).items()
    except (msgspec.DecodeError, ValueError):
        return False
    return matches(wanted_name, name) and matches(f"{wanted}*", message)


def differences(assumption: Assumption, answer: Answer) -> list[str]:
    """What about the answer is not as assumed; empty where all is."""
    wrong = []
    if answer.status not in assumption.status:
        wrong.append(f"status {answer.status} instead of {' or '.join(map(str, assumption.status))}")
    if assumption.error_type:
        error_type = answer.headers.get("x-amzn-errortype", "").partition(":")[0]
        if not matches(assumption.error_type, error_type):
            wrong.append(f"error type {error_type!r} instead of {assumption.error_type!r}")
    text = answer.body.decode("utf-8", "replace")
    fits = message_matches if assumption.text_may_go_on else matches
    if assumption.body and not fits(assumption.body, text):
        wrong.append(f"body {text[:300]} instead of {assumption.body}")
    for name, pattern in assumption.headers:
        value = answer.headers.get(name.lower())
        if value is None:
            wrong.append(f"no header {name}")
        elif not matches(pattern, value):
            wrong.append(f"header {name}: {value!r} instead of {pattern!r}")
    return wrong


def look(assumption: Assumption, scene: Scene) -> str:
    """Find out whether the assumption holds, by the way that it names."""
    if assumption.probe == "none":
        raise NotTested(assumption.why_not)
    if assumption.probe in VERSIONS:
        return shake_hands(scene.endpoint, assumption.probe)
    if assumption.stored_first:
        scene.caller.post(_filled(assumption.stored_first, scene).encode())
    assert assumption.request is not None
    answer = throttled_answer(scene) if assumption.probe == "throttle" else asked(scene, assumption.request)
    wrong = differences(assumption, answer)
    expect(not wrong, "; ".join(wrong))
    return str(answer)


def _filled(text: str, scene: Scene) -> str:
    return text.replace("{service}", scene.service())


BELIEF_CHECKS: tuple[Check[Scene], ...] = tuple(
    Check("gateway", each.name, each.belief, partial(look, each)) for each in ASSUMPTIONS
)
