"""What we believe API Gateway answers, as data: not yet asked of an account.

Two readers hold it to account. The tests' own gateway must answer so, which makes the AWS home testable on one machine;
``python -m infra.smoke`` asks a deployed stack and reports each row as held, not held or not tested.

The rules: a row says one thing; texts are written as the gateway sends them, ``*`` standing for any text; ``{service}``
stands for the name of a service that is the asker's own. Status, error type and headers bind. Where ``text_may_go_on``
is set, the message may be longer than what is written here.
"""

from __future__ import annotations

from infra.assumptions.answers import ANSWERS
from infra.assumptions.form import Ask, Assumption, Signer, Spoiling
from infra.assumptions.identity import IDENTITY, THROTTLED
from infra.assumptions.passage import PASSAGE
from infra.assumptions.transport import TRANSPORT, UNTESTABLE

__all__ = ["ASSUMPTIONS", "Ask", "Assumption", "Signer", "Spoiling"]

ASSUMPTIONS: tuple[Assumption, ...] = (*IDENTITY, THROTTLED, *ANSWERS, *PASSAGE, *TRANSPORT, *UNTESTABLE)
"""Every belief; names are unique."""
