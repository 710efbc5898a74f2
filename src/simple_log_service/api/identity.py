"""Who is calling: the only identity there is, made where the request is authenticated, trusted by all behind it."""

from __future__ import annotations

import msgspec


class Principal(msgspec.Struct, frozen=True):
    """An authenticated caller.

    ``arn`` names it in answers and audits; ``owner`` is the same without the session's name, so that a retry
    under renewed temporary credentials is still the same caller's.
    """

    access_key_id: str
    arn: str
    owner: str
