import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shieldwall.control.api.parse import parse_training
from shieldwall.control.api.requests import unanswered

PREFIX = "renew.shieldwall.dev/"


@pytest.fixture
def read(document):
    """The training of the document with these annotations."""

    def parse(annotations):
        document["metadata"]["annotations"] = annotations
        return parse_training(document)

    return parse


def test_requests_are_read_by_subject(read):
    found = read({PREFIX + "all": "1", PREFIX + "server": "a.b-c_D", PREFIX + "client.site-3": "x" * 64}).requests
    assert found.nonces == {"all": "1", "server": "a.b-c_D", "client.site-3": "x" * 64}
    assert found.ignored == ()
    assert found.wanted("server") == "1|a.b-c_D"
    assert found.wanted("aggregator") == "1|"
    assert read({PREFIX + "server": "x"}).requests.wanted("server") == "|x"
    assert read({"other.dev/all": "1"}).requests.wanted("server") == ""


@pytest.mark.parametrize(
    ("subject", "nonce"),
    [
        ("all", ""),
        ("all", "x" * 65),
        ("all", "a|b"),
        ("all", "a b"),
        ("all", "ä"),
        ("all", "x\n"),
        ("all", 7),
        ("everybody", "x"),
        ("client.nobody", "x"),
        ("client", "x"),
        ("client.", "x"),
        ("", "x"),
    ],
)
def test_what_is_no_request_is_told_and_asks_for_nothing(read, subject, nonce):
    found = read({PREFIX + subject: nonce, PREFIX + "server": "good"}).requests
    assert found.nonces == {"server": "good"}
    assert found.ignored == (subject,)


def test_no_number_of_senseless_requests_is_kept(read):
    found = read({f"{PREFIX}{number:03d}{'x' * 200}": "y" for number in range(100)}).requests
    assert len(found.ignored) == 20
    assert max(map(len, found.ignored)) == 63


@pytest.mark.parametrize(
    ("value", "paused"),
    [("true", True), ("True", True), (" TRUE\n", True), ("false", False), ("False", False), ("", False), (" ", False)],
)
def test_one_word_pauses_a_training(read, value, paused):
    found = read({"shieldwall.dev/paused": value})
    assert (found.paused, found.unclear_pause) == (paused, "")


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("yes", '"yes"'),
        ("ture", '"ture"'),
        ("1", '"1"'),
        ('"true"', r'"\"true\""'),
        ("\u202e\n", r'"\u202e\n"'),
        ("x" * 10_000, f'"{"x" * 40}"'),
        (True, "true"),
        ({}, "a map"),
    ],
)
def test_another_word_pauses_nothing_and_is_told(read, value, quoted):
    found = read({"shieldwall.dev/paused": value})
    assert (found.paused, found.unclear_pause) == (False, quoted)


def test_a_training_without_annotations_is_not_paused(read):
    for nothing in (None, {}):
        assert not read(nothing).paused
        assert read(nothing).requests.nonces == {}


@given(
    annotations=st.dictionaries(
        st.text(max_size=10) | st.sampled_from([PREFIX + "all", PREFIX + "server", "shieldwall.dev/paused"]),
        st.text(max_size=70) | st.booleans() | st.integers(0, 9) | st.lists(st.integers(0, 9), max_size=2),
        max_size=5,
    )
    | st.text()
    | st.lists(st.text(), max_size=2)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_annotation_makes_a_training_invalid(read, annotations):
    assert all("|" not in nonce for nonce in read(annotations).requests.nonces.values())


@pytest.mark.parametrize(
    ("wanted", "stamped", "asks"),
    [
        ("", "", False),
        ("", "a|b", False),
        ("a|", "", True),
        ("a|", "a|", False),
        ("a|", "a|b", False),
        ("a|b", "a|", True),
        ("|b", "a|b", False),
        ("b|a", "a|b", True),
        ("|a", "a|", True),
    ],
)
def test_a_request_is_answered_by_what_was_issued_for_it(wanted, stamped, asks):
    assert unanswered(wanted, stamped) is asks


REINSTATE = "reinstate.shieldwall.dev/"


def test_clients_that_people_want_back_are_read_by_name(read):
    found = read({REINSTATE + "site-1": "2026-03-01", PREFIX + "all": "1"})
    assert found.reinstatements.nonces == {"site-1": "2026-03-01"}
    assert found.requests.nonces == {"all": "1"}
    assert found.reinstatements.ignored == found.requests.ignored == ()


@pytest.mark.parametrize(("client", "nonce"), [("nobody", "1"), ("site-1", ""), ("site-1", 7), ("all", "1"), ("", "1")])
def test_who_cannot_be_wanted_back_is_told(read, client, nonce):
    found = read({REINSTATE + client: nonce}).reinstatements
    assert (dict(found.nonces), found.ignored) == ({}, (client,))
