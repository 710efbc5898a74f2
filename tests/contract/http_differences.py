"""Where the homes may differ, and why: the one table. What stands here is not asked of the home that it names.

Each row is a difference that the contract names, or one that API Gateway makes before the service sees the request;
the latter are beliefs until a real account was asked. Everything else is asked of both homes.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

FRAMING = "The framing rules bind the embedded home."
TEMPORARY = "On AWS temporary credentials are required."
KEYS_OF_IAM = "On AWS API Gateway checks identity: keys are made and disabled by IAM, not by the service."
ORDER = (
    "On AWS API Gateway checks identity: it reads a request whole before it answers, and nobody sees in which order."
)
HEALTH = "On AWS API Gateway answers /health by itself, and /metrics is the embedded home's."
PLUS = "API Gateway decodes a raw + in a query as a space; the embedded home takes it as it is signed."
UTF_8 = "API Gateway decodes the query: what is no UTF-8 does not reach the service as it was."


class Difference(NamedTuple):
    """Tests that one home is not asked, by file, name and parameters with ``*``.

    ``belief`` is the name of the row in ``infra.assumptions`` that a smoke test asks a real account about.
    """

    home: str
    tests: str
    reason: str
    belief: str | None = None


_IDENTITY = "test_http_identity.py::"
_READS = "test_http_reads.py::"
_BAD_INPUT = "test_http_bad_input.py::"

DIFFERENCES = (
    Difference("aws", f"{_IDENTITY}*[[]*long-lived*", TEMPORARY, "denied_long_lived"),
    Difference("aws", f"{_IDENTITY}test_a_disabled_key_is_unknown_within_a_second*", KEYS_OF_IAM),
    Difference("aws", f"{_IDENTITY}test_key_date_and_scope_are_checked_before_the_body_is_read*", ORDER),
    Difference("aws", f"{_IDENTITY}test_strangers_do_not_learn_that_a_body_is_too_large*", ORDER),
    Difference("aws", f"{_BAD_INPUT}test_a_chunked_body_past_its_bound_on_the_wire*", ORDER),
    Difference("aws", f"{_BAD_INPUT}test_a_doubled_host*", FRAMING),
    Difference("aws", f"{_READS}test_in_a_query_a_raw_plus_sign_is_one*", PLUS, "raw_plus_in_a_query"),
    Difference("aws", f"{_READS}test_a_query_that_is_not_utf_8_is_refused*", UTF_8),
    Difference("aws", f"{_READS}test_an_unknown_parameter_is_refused_on_every_route[[]*/health*", HEALTH, "health"),
    Difference("aws", f"{_READS}test_an_unknown_parameter_is_refused_on_every_route[[]*/metrics*", HEALTH),
)


def difference_of(home: str, node_id: str) -> Difference | None:
    """Why a home is not asked this test; ``None`` where it is."""
    path, _, test = node_id.partition("::")
    name = f"{path.rpartition('/')[2]}::{test}"
    found = (each for each in DIFFERENCES if each.home == home and fnmatchcase(name, each.tests))
    return next(found, None)
