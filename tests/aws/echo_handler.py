"""A Lambda handler for tests of what calls it: says what it got, or does what the request's ``do`` asks for."""

from __future__ import annotations

import base64
import json
import time
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    print("invoked", context.aws_request_id)
    match (event["queryStringParameters"] or {}).get("do"):
        case "raise":
            raise RuntimeError("a defect")
        case "sleep":
            time.sleep(60)
        case "nonsense":
            return ["no answer"]
        case "large":
            return {"statusCode": 200, "body": "x" * 7_000_000}
        case "bytes":
            return {"statusCode": 200, "body": base64.b64encode(bytes(range(256))).decode(), "isBase64Encoded": True}
        case "headers":
            return {
                "statusCode": 201,
                "headers": {"X-Single": "a", "x-amzn-RequestId": "mine"},
                "multiValueHeaders": {"X-Many": ["b", "c"]},
            }
    headers = {"Content-Type": "application/json"}
    return {"statusCode": 200, "headers": headers, "body": json.dumps(event), "isBase64Encoded": False}
