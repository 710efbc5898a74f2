"""HTTP requests to AWS services that botocore has no client for, with botocore's own signing and connections.

Time is bounded, nothing is repeated here, and no redirect is followed: a signature is for one host.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NamedTuple

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import HTTPClientError
from botocore.httpsession import URLLib3Session

CONNECT_SECONDS_MAX = 2
READ_SECONDS_MAX = 10


class Unreachable(Exception):
    """There was no answer: no connection, none in time, or a broken one. Whether it was carried out is unknown."""


class Answer(NamedTuple):
    """A status and a body, whatever the status."""

    status: int
    body: bytes


class SignedHttp:
    """Sends to one endpoint (``https://HOST``) of a service, with botocore's credentials."""

    def __init__(self, endpoint_url: str, signing_name: str, region: str, credentials: Any) -> None:
        self._endpoint_url = endpoint_url.rstrip("/")
        self._credentials = credentials
        self._signing = (signing_name, region)
        self._connections = URLLib3Session(timeout=(CONNECT_SECONDS_MAX, READ_SECONDS_MAX))

    def send(self, method: str, path_and_query: str, body: bytes, content_type: str = "application/json") -> Answer:
        """The answer to one request; raises ``Unreachable``."""
        headers = {"Content-Type": content_type, "X-Amz-Content-SHA256": sha256(body).hexdigest()}
        request = AWSRequest(method, self._endpoint_url + path_and_query, headers, body)
        # Temporary credentials change in a container's life: they are taken anew for each request.
        SigV4Auth(self._credentials.get_frozen_credentials(), *self._signing).add_auth(request)
        try:
            response = self._connections.send(request.prepare())
            return Answer(response.status_code, response.content)
        except HTTPClientError as error:
            raise Unreachable(type(error).__name__) from None
