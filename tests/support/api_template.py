"""What a synthesized CloudFormation template says of the API and its functions, as data for the local gateway.

Nothing here knows this service: routes, authentication, throttling, media types, CORS, handlers and environments are
the template's. What it cannot read is refused, so that a template never says something that is silently not done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

REGION = "us-east-1"
ACCOUNT = "123456789012"

Json = dict[str, Any]


class FunctionPlan(NamedTuple):
    """A Lambda function. ``environ`` is what the template sets, ``actions`` what its role's inline policies allow."""

    name: str
    handler: str
    timeout_seconds: float
    memory_mib: int
    region: str
    environ: dict[str, str]
    actions: frozenset[str]


class MockAnswer(NamedTuple):
    """What a MOCK integration answers; ``reads_text`` is whether it can read its request under ``*/*``."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    reads_text: bool


class Method(NamedTuple):
    """One method of one resource; ``function`` is a logical id, and ``None`` with a mock."""

    resource: str
    http_method: str
    resource_id: str
    needs_iam: bool
    function: str | None
    mock: MockAnswer | None


class Deployment(NamedTuple):
    """The API of a template. ``gateway_headers`` are those of its gateway responses, by their type.

    ``policies`` are the managed policies for callers, by their names.
    """

    api_id: str
    stage: str
    methods: dict[tuple[str, str], Method]
    functions: dict[str, FunctionPlan]
    binary_media_types: frozenset[str]
    gateway_headers: dict[str, list[tuple[str, str]]]
    throttle_rate: float
    throttle_burst: int
    policies: dict[str, Json]

    @classmethod
    def of(cls, template: Mapping[str, Any]) -> Deployment:
        """Read a template."""
        reader = _Reader(template)
        ((api_id, api),) = reader.of_type("AWS::ApiGateway::RestApi").items()
        (stage,) = reader.of_type("AWS::ApiGateway::Stage").values()
        methods = {(each.resource, each.http_method): each for each in reader.methods()}
        integrated = {method.function for method in methods.values() if method.function}
        assert not api.get("MinimumCompressionSize"), "compression is not part of this gateway"
        (throttle,) = (each for each in stage["MethodSettings"] if each["ResourcePath"] == "/*")
        return cls(
            api_id,
            reader.text(stage["StageName"]),
            methods,
            {each: reader.function(each) for each in sorted(integrated)},
            frozenset(api.get("BinaryMediaTypes", [])),
            dict(reader.gateway_responses()),
            throttle["ThrottlingRateLimit"],
            throttle["ThrottlingBurstLimit"],
            dict(reader.policies()),
        )

    @property
    def takes_binary(self) -> bool:
        """Whether bodies of every kind pass as bytes."""
        return "*/*" in self.binary_media_types

    def find(self, http_method: str, path: str) -> tuple[Method, dict[str, str]] | None:
        """The method of a raw path with its raw path parameters; a resource without any goes first."""
        for (resource, of_method), method in sorted(self.methods.items(), key=lambda each: each[0][0].count("{")):
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(resource))
            match = re.fullmatch(pattern, path)
            if match is not None and of_method in {http_method, "ANY"}:
                return method, match.groupdict()
        return None


class _Reader:
    def __init__(self, template: Mapping[str, Any]) -> None:
        self._resources: dict[str, Json] = template["Resources"]

    def of_type(self, kind: str) -> dict[str, Json]:
        """Properties by logical id."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self._resources.items()
            if resource["Type"] == kind
        }

    def text(self, value: Any) -> str:
        """A text with its references resolved: parameters of AWS, names of resources, and ``ID.Attribute``."""
        if isinstance(value, str):
            return value
        (function, argument), *others = value.items()
        assert not others, value
        if function == "Ref":
            return _PSEUDO.get(argument) or self._name(argument)
        if function == "Fn::GetAtt":
            return ".".join(argument)
        if function == "Fn::Join":
            return str(argument[0]).join(self.text(part) for part in argument[1])
        raise AssertionError(f"this reader does not know {function}")

    def function(self, logical_id: str) -> FunctionPlan:
        """The function of that logical id."""
        found = self._resources[logical_id]["Properties"]
        variables = found.get("Environment", {}).get("Variables", {})
        return FunctionPlan(
            self._name(logical_id),
            found["Handler"],
            found["Timeout"],
            found["MemorySize"],
            REGION,
            {name: self.text(value) for name, value in variables.items()},
            frozenset(self._actions_of(found["Role"])) if "Role" in found else frozenset(),
        )

    def _actions_of(self, role: Any) -> Iterator[str]:
        (logical_id,) = _names_in(role)
        for policy in self._resources[logical_id]["Properties"]["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement["Action"]
                yield from [actions] if isinstance(actions, str) else actions

    def methods(self) -> Iterator[Method]:
        """Every method of every resource."""
        for found in self.of_type("AWS::ApiGateway::Method").values():
            assert not any(found.get("RequestParameters", {}).values()), "required parameters are not checked here"
            assert found["AuthorizationType"] in {"AWS_IAM", "NONE"}, found["AuthorizationType"]
            integration = found["Integration"]
            resource_id = self._resource_id(found["ResourceId"])
            yield Method(
                self._path(resource_id),
                found["HttpMethod"],
                resource_id,
                found["AuthorizationType"] == "AWS_IAM",
                self._function_of(integration) if integration["Type"] == "AWS_PROXY" else None,
                _mock(integration) if integration["Type"] == "MOCK" else None,
            )

    def gateway_responses(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Type and headers of each response that the gateway makes by itself."""
        for found in self.of_type("AWS::ApiGateway::GatewayResponse").values():
            assert "ResponseTemplates" not in found, "own texts are not part of this gateway"
            yield found["ResponseType"], _headers(found.get("ResponseParameters", {}), "gatewayresponse")

    def policies(self) -> Iterator[tuple[str, Json]]:
        """Name and document of each managed policy."""
        for found in self.of_type("AWS::IAM::ManagedPolicy").values():
            yield self.text(found["ManagedPolicyName"]), self._resolved(found["PolicyDocument"])

    def _resolved(self, value: Any) -> Any:
        """The same with every reference resolved."""
        if isinstance(value, list):
            return [self._resolved(each) for each in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and (next(iter(value)) == "Ref" or next(iter(value)).startswith("Fn::")):
            return self.text(value)
        return {name: self._resolved(each) for name, each in value.items()}

    def _name(self, logical_id: str) -> str:
        properties = self._resources[logical_id].get("Properties", {})
        names = ("FunctionName", "TableName", "StageName")
        return next((properties[name] for name in names if isinstance(properties.get(name), str)), logical_id)

    def _resource_id(self, value: Any) -> str:
        return "" if value.get("Fn::GetAtt", ["", ""])[1] == "RootResourceId" else str(value["Ref"])

    def _path(self, resource_id: str) -> str:
        if not resource_id:
            return ""
        found = self._resources[resource_id]["Properties"]
        return f"{self._path(self._resource_id(found['ParentId']))}/{found['PathPart']}"

    def _function_of(self, integration: Json) -> str:
        """The logical id in the invocation's URI; an alias or version stands for its function."""
        named = {each for each in _names_in(integration["Uri"]) if each in self._resources}
        (logical_id,) = named
        resource = self._resources[logical_id]
        if resource["Type"] == "AWS::Lambda::Function":
            return logical_id
        (behind,) = _names_in(resource["Properties"]["FunctionName"])
        return behind


_PSEUDO: Mapping[str, str] = {
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}


def _names_in(value: Any) -> set[str]:
    """Every logical id that a value refers to."""
    if isinstance(value, list):
        return set().union(*map(_names_in, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    if "Ref" in value:
        return {value["Ref"]}
    if "Fn::GetAtt" in value:
        return {value["Fn::GetAtt"][0]}
    return set().union(*map(_names_in, value.values()))


def _headers(
    parameters: Mapping[str, str], source: Literal["gatewayresponse", "method.response"]
) -> list[tuple[str, str]]:
    """Headers with constant values, which a template writes in quotes."""
    prefix = f"{source}.header."
    for name, value in parameters.items():
        assert name.startswith(prefix), name
        assert value[0] == value[-1] == "'", value
    return [(name.removeprefix(prefix), value[1:-1]) for name, value in parameters.items()]


def _mock(integration: Json) -> MockAnswer:
    """The one answer of a mock, whose request template must choose it."""
    (response,) = integration["IntegrationResponses"]
    status = response["StatusCode"]
    chosen = set(integration["RequestTemplates"].values())
    assert all(
        re.sub(r"\s", "", each) in {f'{{"statusCode":{status}}}', f"{{statusCode:{status}}}"} for each in chosen
    ), chosen
    templates: Mapping[str, str] = response.get("ResponseTemplates", {})
    headers = _headers(response.get("ResponseParameters", {}), "method.response")
    content_type, body = next(iter(templates.items()), ("application/json", ""))
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", content_type))
    return MockAnswer(int(status), headers, body.encode(), integration.get("ContentHandling") == "CONVERT_TO_TEXT")
