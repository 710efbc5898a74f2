"""The consumer under AWS's own runtime client, with nothing of this environment but what a package holds."""

from __future__ import annotations

from support.runtime_api import container, source_folder
from support.stores import Given
from support.stream_events import change, event, items_of
from support.stub_sinks import ACCESS_KEY_ID, SECRET, StubSinks

HANDLER = "simple_log_service.aws.stream.consume.handler"


def test_a_batch_of_the_stream_gets_through_under_the_real_runtime() -> None:
    records = [Given(f"{number} \0 é 语 𐍈") for number in range(200)]
    data = [change(item) for item in items_of(records)] + ["not base64!"]
    with StubSinks().running() as stub, source_folder() as package:
        key = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
        with container(HANDLER, package, {**stub.environ, **key}, limited=False) as function:
            function.wait_until_ready()
            assert function.invoke(event(data)) == {"batchItemFailures": []}
            lines = function.documents
    assert sorted(source["message"] for source in stub.documents.values()) == sorted(each.message for each in records)
    assert sorted(row["message"] for row in stub.rows) == sorted(each.message for each in records)
    assert len(stub.letters) == 1
    assert {"brought": len(data), "records": 200, "aside": 1, "done": len(data)} in lines
