import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("sensitivity_search", Path(__file__).with_name("search.py"))
_SEARCH = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_SEARCH)


@pytest.fixture
def search():
    """The adversary of ``search.py``."""
    return _SEARCH
