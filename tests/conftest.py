"""How property tests run: always on the same examples; with ``--hypothesis-profile thorough`` on more and others.

And what tests of several folders need: one DynamoDB engine for each process that runs tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from support.dynalite import dynalite

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],  # shared machines are slow at times, whatever is generated
)
settings.register_profile("thorough", settings.get_profile("ci"), derandomize=False, max_examples=3000)
settings.load_profile("ci")


@pytest.fixture(scope="session")
def dynamodb_url() -> Iterator[str]:
    """The endpoint of this process's own engine; tests make tables of their own in it."""
    with dynalite() as endpoint_url:
        yield endpoint_url
