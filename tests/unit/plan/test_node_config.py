"""Flower reads back what it is given on the command line, whatever the keys are."""

from flwr.common.config import parse_config_args
from hypothesis import example, given
from hypothesis import strategies as st

from shieldwall.control.plan.client import node_config_text

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\"'\\"), max_size=12)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.dictionaries(KEYS, TEXTS | NUMBERS | st.booleans(), min_size=1, max_size=5))
@example({"": 1, "ü": 2, "a b=c": 3, "a\n": 4, "a.b": 5, '"': 6, "'": 7, "\\": 8, "x=1 y": 9, "#": 10})
@example({"x": "a=b c", "y": "$(POD_IP)", "partition-id": 3, "x.toml": ".toml"})
@example({"x": 2.0**63, "1": True})
def test_flower_reads_the_pairs_that_were_written(config):
    text = node_config_text(config)
    assert parse_config_args([text]) == config
    assert "$" not in text, "a kubelet would replace it"


def test_plain_keys_stay_plain():
    assert node_config_text({"partition-id": 3, "name": "x"}) == 'name="x" partition-id=3'
