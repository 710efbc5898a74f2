"""What the gateway answers by itself, and what it adds to the handler's answers."""

from __future__ import annotations

from infra.assumptions.form import Ask, Assumption
from infra.assumptions.parts import CORS_HEADERS, READ, REQUEST_ID


def _preflight(name: str, path: str, methods: str) -> Assumption:
    return Assumption(
        name=name,
        belief=f"OPTIONS on {path} is answered by the gateway, without credentials and without a body.",
        source="API Gateway: MOCK under binary media types needs CONVERT_TO_TEXT",
        request=Ask(
            "OPTIONS",
            path,
            headers=(("Origin", "https://dashboard.example"), ("Access-Control-Request-Method", "POST")),
            signer="nobody",
        ),
        status=(200, 204),
        headers=(
            REQUEST_ID,
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Allow-Methods", methods),
            ("Access-Control-Allow-Headers", "*uthorization*"),
        ),
    )


ANSWERS: tuple[Assumption, ...] = (
    Assumption(
        name="health",
        belief="GET /health is answered by the gateway, without credentials.",
        source="infra: /health is a MOCK integration",
        request=Ask("GET", "/health", signer="nobody"),
        status=(200,),
        body='{"status":"ok"}',
        headers=(REQUEST_ID, ("Content-Type", "application/json*"), *CORS_HEADERS),
    ),
    _preflight("preflight_logs", "/logs", "*POST*"),
    _preflight("preflight_recent", "/logs/recent", "*GET*"),
    _preflight("preflight_service", "/services/{service}/logs", "*GET*"),
    _preflight("preflight_health", "/health", "*GET*"),
    Assumption(
        name="request_id_of_the_handlers_answers",
        belief="An answer of the handler carries the gateway's x-amzn-RequestId and the CORS headers.",
        source="API Gateway: x-amzn-RequestId is its own",
        request=READ,
        status=(200,),
        headers=(REQUEST_ID, ("Content-Type", "application/json*"), *CORS_HEADERS),
        answered_by="handler",
    ),
    Assumption(
        name="error_type_of_the_handler",
        belief="x-amzn-ErrorType, set by the handler, comes through under its own name.",
        source="the contract: every error names its type",
        request=Ask("GET", "/logs/recent", "limit=0"),
        status=(400,),
        error_type="BadRequestException",
        body='{"message":"limit must be a whole number from 1 to 10000."}',
        headers=(REQUEST_ID, *CORS_HEADERS),
        answered_by="handler",
    ),
)
