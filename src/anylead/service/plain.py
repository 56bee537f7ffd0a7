"""From results to JSON: field names as keys, null for what is not a number, dates in ISO 8601."""

import dataclasses
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from fastapi.responses import JSONResponse


def to_json(value: Any) -> Any:
    """Returns dataclasses, arrays, dates and containers of them as what JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return to_json(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, int | str | None) else str(value)


def answer(value: Any, status: int = 200) -> JSONResponse:
    """Returns a result as an HTTP answer."""
    return JSONResponse(to_json(value), status_code=status)
