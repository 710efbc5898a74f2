"""AWS's services as a table of answers, in front of real botocore clients.

Every request is checked against the service's model by botocore, every answer by this module: what a service could not
be asked, or would never say, fails the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

from botocore.model import OperationModel
from botocore.session import Session
from botocore.validate import ParamValidator

Answers = Mapping[str, Any]
"""By ``service.Operation``: the answer, or a function of the parameters, or ``Failure``."""


class Failure:
    """An answer that is an error."""

    def __init__(self, code: str) -> None:
        self.code = code


class CannedAws:
    """Makes clients that are answered from the table, and never by a network."""

    def __init__(self, answers: Answers) -> None:
        self._answers = dict(answers)
        self.client = cache(self._client)

    def _client(self, service: str) -> Any:
        client = _session().create_client(service, region_name="eu-west-1")
        client.meta.events.register("before-call.*.*", self._answer)
        return client

    def _answer(self, model: OperationModel, params: Mapping[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        found = self._answers[f"{model.service_model.service_name}.{model.name}"]
        if isinstance(found, Failure):
            return SimpleNamespace(status_code=400), {"Error": {"Code": found.code, "Message": "as it happens"}}
        answer = found(params) if callable(found) else found
        if model.output_shape is not None:
            report = ParamValidator().validate(answer, model.output_shape)
            assert not report.has_errors(), report.generate_report()
        return SimpleNamespace(status_code=200), answer


@cache
def _session() -> Session:
    """One for all: reading the services' models takes longer than anything else here."""
    session = Session()
    session.set_credentials("ASIATESTING", "secret", "token")
    return session
