"""Requests made from the service's own OpenAPI: what the tests and `benchmarks/service_abuse.py` send."""

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def schema_of(app):
    """Returns what schemathesis makes of the app, which is not started and stopped for every request."""

    async def running(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await app(scope, receive, send)

    return schemathesis.openapi.from_asgi("/openapi.json", running)


def operations(schema):
    """Returns the operations of the API by name."""
    found = (result.ok() for result in schema.get_all_operations())
    return {f"{one.method.upper()} {one.path}": one for one in found}


def send_requests(operation, count, *, handle=None, counts=None):
    """Sends requests, right and wrong ones, and checks every answer.

    Args:
        operation: One of `operations`.
        count: How many.
        handle: Of an uploaded recording, put where one is asked for.
        counts: Status -> requests, added to.

    Raises:
        AssertionError: If an answer is a server error or none of those described.
    """
    modes = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(modes))
    def send(case):
        if handle and isinstance(case.body, dict) and isinstance(case.body.get("record"), str):
            case.body["record"] = handle
        answer = case.call()
        if counts is not None:
            counts[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    send()
