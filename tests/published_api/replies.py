"""Whether a reply of the API is one that docs/openapi.yaml promises: its status, its type, each field of its body."""

from __future__ import annotations

import json
from http import HTTPStatus

from tests.published_api.definition import published, resolved, route_of, validator

NO_ROUTE = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)  # API Gateway answers the first, the function the second


class Unpublished(AssertionError):
    """A reply that clients cannot expect from reading the definition."""


def check_reply(method: str, path: str, status: int, content_type: str | None, body: str) -> None:
    """`path` is without the stage and the query. Raises Unpublished."""
    said = f"{method} {path} answered {status}"
    found = route_of(published(), method, path)
    if found is None:
        if status not in NO_ROUTE:
            raise Unpublished(f"{said}: no such route is published")
        return
    template, operation = found
    if str(status) not in operation["responses"]:
        raise Unpublished(f"{said}: {method} {template} publishes {', '.join(operation['responses'])}")
    content = resolved(published(), operation["responses"][str(status)]).get("content", {})
    if not content:
        if body:
            raise Unpublished(f"{said} with a body, and none is published")
        return
    kind = (content_type or "").partition(";")[0]
    if kind not in content:
        raise Unpublished(f"{said} as {kind or 'nothing'}: published is {', '.join(content)}")
    name = content[kind]["schema"]["$ref"].rpartition("/")[2]
    for error in validator(name, closed=True).iter_errors(json.loads(body)):
        raise Unpublished(f"{said}: {error.json_path} of {name}: {error.message[:500]}")
