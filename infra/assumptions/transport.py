"""Below and beyond single requests: TLS versions, and what no command can find out."""

from __future__ import annotations

from infra.assumptions.form import Assumption

TRANSPORT: tuple[Assumption, ...] = (
    Assumption(
        name="tls_1_0_refused",
        belief="TLS 1.0 is refused.",
        source="API Gateway: the security policy of the endpoint",
        probe="tls_1_0",
    ),
    Assumption(
        name="tls_1_1_refused",
        belief="TLS 1.1 is refused.",
        source="API Gateway: the security policy of the endpoint",
        probe="tls_1_1",
    ),
    Assumption(
        name="tls_1_2_works",
        belief="TLS 1.2 is taken.",
        source="API Gateway: the security policy of the endpoint",
        probe="tls_1_2",
    ),
)

UNTESTABLE: tuple[Assumption, ...] = (
    Assumption(
        name="lambda_throttled",
        belief="Where Lambda has no concurrency left, the gateway answers 500, and clients try again.",
        source="Lambda: TooManyRequestsException to its caller",
        status=(500,),
        probe="none",
        why_not="it would take the account's whole concurrency",
    ),
    Assumption(
        name="integration_timeout",
        belief="A handler that is silent for 29 seconds becomes 504.",
        source="API Gateway: an integration has 29 seconds",
        status=(504,),
        error_type="*",
        probe="none",
        why_not="no handler of this service takes so long",
    ),
)
