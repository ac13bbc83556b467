"""The shared library: the one in this package, or the one that SPREAD_LIBRARY names.

Everything else in this package calls C through here and knows nothing of where it is from.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

VARIABLE = "SPREAD_LIBRARY"


def _load() -> tuple[Any, Any]:
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        from ._native import ffi, lib

        return ffi, lib
    # The package around the declarations would load its own library too.
    place = Path(__file__).with_name("_native") / "ffi.py"
    spec = importlib.util.spec_from_file_location("spread._declarations", place)
    assert spec is not None and spec.loader is not None
    declarations = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(declarations)
    return declarations.ffi, declarations.ffi.dlopen(wanted)


ffi, lib = _load()


def has(name: str) -> bool:
    """Whether the library has this function; libraries of another make lack some."""
    try:
        getattr(lib, name)
    except AttributeError:
        return False
    return True
