"""``infra.assumptions``, asked: each row is one check, which says what the endpoint really answered."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from functools import partial

import zstandard

from infra.assumptions import ASSUMPTIONS, Ask, Assumption
from infra.smoke.asking import Answer, Headers
from infra.smoke.findings import Check, NotTested, expect
from infra.smoke.scene import Scene
from infra.smoke.transport import VERSIONS, shake_hands, throttled_answer

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


def matches(pattern: str, text: str, *, may_go_on: bool = False) -> bool:
    """Whether the text is as the pattern says, ``*`` standing for any text.

    Where it may go on, whatever ends the pattern (quotes and braces of a message) may come later.
    """
    given = pattern.rstrip('"}') + "*" if may_go_on else pattern
    return re.fullmatch(".*".join(map(re.escape, given.split("*"))), text, re.DOTALL) is not None


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
    if assumption.body and not matches(assumption.body, text, may_go_on=assumption.text_may_go_on):
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
