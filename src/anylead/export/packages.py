"""The optional packages that write and run ONNX."""

import importlib
from typing import Any

from anylead.errors import ConfigError


def onnx_package(name: str) -> Any:
    """Imports a module of the packages in the extra ``onnx``.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"onnx: {name} is needed and is not installed; install anylead[onnx].") from error
