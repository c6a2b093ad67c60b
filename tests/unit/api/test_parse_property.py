import copy
import datetime as dt

import pytest
from harness.documents import every_path, put
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shieldwall.control.api.parse import parse_training
from shieldwall.control.api.problems import InvalidTrainingError
from shieldwall.control.api.schema import structural
from shieldwall.control.api.training import Manifest, Training

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**70),
    st.just(10**4000),
    st.floats(),
    st.text(st.characters(), max_size=20),
    st.sampled_from(["", "1", "None", "true", "24h", "a:b", "\ud800", "\x00", "x" * 5000, "../etc", "{rule}"]),
    st.dates(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.binary(max_size=5),
)
KEYS = st.one_of(st.text(max_size=8), st.none(), st.integers(), st.booleans(), st.tuples(st.integers()), st.dates())
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


PATHS = st.sampled_from(sorted(every_path(structural(Manifest)), key=str))


@given(document=JUNK)
@settings(max_examples=200, deadline=None)
def test_any_document_gives_problems_and_never_another_exception(document):
    with pytest.raises(InvalidTrainingError) as caught:
        parse_training(document)
    assert all(problem.message for problem in caught.value.problems)


@given(changes=st.lists(st.tuples(PATHS, JUNK), min_size=1, max_size=4))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_change_to_a_good_document_gives_a_training_or_problems_with_fields(document, changes):
    changed = copy.deepcopy(document)
    for path, value in changes:
        put(changed, path, copy.deepcopy(value))
    problems = None
    try:
        assert isinstance(parse_training(changed), Training)
    except InvalidTrainingError as error:
        problems = error.problems
    assert problems is None or problems
    for problem in problems or ():
        assert problem.message
        assert problem.message.isprintable()
        assert "pydantic" not in problem.message
        assert len(problem.message) < 1000
