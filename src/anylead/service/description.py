"""What OpenAPI says of the answers, as they are sent: a number that is none is null."""

from typing import Any

from fastapi import FastAPI

from anylead.gallery import results

_OURS = {name for name in vars(results) if name[0].isupper()}


def describe(app: FastAPI) -> None:
    """Makes the app's OpenAPI allow null where a result of the gallery may have no number."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        made = app.openapi_schema is not None
        schema = plain()
        if not made:
            for name, one in schema["components"]["schemas"].items():
                for field in one.get("properties", {}).values():
                    _allow_local_times(field)
                    if name in _OURS:
                        _allow_null(field)
        return schema

    app.openapi = described  # type: ignore[method-assign]


def _allow_local_times(field: dict[str, Any]) -> None:
    """Times of recordings carry no zone, which the format ``date-time`` demands."""
    for choice in field.get("anyOf", []):
        if choice.get("format") == "date-time":
            choice["format"] = "iso-8601-local"


def _allow_null(field: dict[str, Any]) -> None:
    if field.get("type") == "number":
        field["type"] = ["number", "null"]
    pair = field.get("items", {})
    if "maxItems" in pair:  # a pair of texts, which FastAPI writes in a way that OpenAPI does not have
        field["items"] = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}
