"""The templates with the parts for later switched on, and how tests of them name things."""

from __future__ import annotations

import json
from typing import Any

from support.synthesized import template

REPLICAS = ("eu-west-1", "ap-southeast-2")
ALL = ("stream=true", "search=true", "analytics=true", f"replica_regions={json.dumps(REPLICAS)}")
KEY = "{EncryptionKey.Arn}"


def full(env: str = "prod") -> dict[str, Any]:
    """The template with all of them."""
    return template(env, *ALL)


def named(part: str, env: str = "prod") -> str:
    """A resource's name."""
    return f"simple-log-service-{env}-{part}"


def arn(service: str, resource: str) -> str:
    """An ARN of the deployment's own account and region."""
    return f"arn:{{Partition}}:{service}:{{Region}}:{{AccountId}}:{resource}"


def through(service: str) -> dict[str, str]:
    """The condition of a use of the key by way of a service."""
    return {"kms:ViaService": f"{service}.{{Region}}.amazonaws.com"}
