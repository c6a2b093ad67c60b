"""ByzFL's aggregators on NumPy arrays: a stranger's implementation of the same papers.

ByzFL imports torch (gigabytes) and all that its benchmarks need as soon as it is imported, and its NumPy path uses
none of it. ``.ci/setup`` installs it alone, and this stands in for torch while its aggregators are loaded.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

PLACE: Final = Path(__file__).parents[3] / ".venv" / "byzfl"


def load() -> Any:
    """The module of its aggregators and pre-aggregators."""
    stubs = {name: ModuleType(name) for name in ("byzfl", "torch", "torch.linalg")}
    stubs["byzfl"].__path__ = [str(PLACE / "byzfl")]
    torch: Any = stubs["torch"]
    torch.Tensor, torch.linalg = type("Tensor", (), {}), stubs["torch.linalg"]
    before = {name: module for name, module in sys.modules.items() if _is_stubbed(name)}
    for name in before:
        del sys.modules[name]
    sys.modules |= stubs
    try:
        return importlib.import_module("byzfl.aggregators")
    finally:
        for name in [name for name in sys.modules if _is_stubbed(name)]:
            del sys.modules[name]
        sys.modules |= before


def _is_stubbed(name: str) -> bool:
    return name.partition(".")[0] in {"byzfl", "torch"}
