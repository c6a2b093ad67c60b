import re

from hypothesis import given
from hypothesis import strategies as st

from shieldwall.control.api.clients import MAX_CLIENT_NAME
from shieldwall.control.api.parse import parse_training
from shieldwall.control.api.problems import InvalidTrainingError
from shieldwall.control.api.training import MAX_TRAINING_NAME, RESERVED_WORDS
from shieldwall.control.plan.names import Names

SHARED = [name for name, member in vars(Names).items() if isinstance(member, property)]
PER_CLIENT = ["client", "client_tls", "client_node"]
# What may share a name: objects of different kinds.
KINDS = [
    ["client_tls", "client_node", "authority", "superexec", "server_tls", "aggregator_tls"],
    ["policy", "client_policy", "accepted", "trust"],
    ["client"],
    ["server", "aggregator", "clients", "default_deny"],
    ["server", "server_headless", "aggregator"],
]

SEGMENTS = st.sampled_from(["a", "b", "x1", "headless", *RESERVED_WORDS])
TRAININGS = st.lists(SEGMENTS, min_size=1, max_size=3).map("-".join)
CLIENTS = st.lists(SEGMENTS, min_size=1, max_size=3).map("-".join)


def all_names(training, client):
    names = Names(training)
    return {kind: getattr(names, kind) for kind in SHARED} | {kind: getattr(names, kind)(client) for kind in PER_CLIENT}


def allowed(training):
    try:
        parse_training(
            {
                "apiVersion": "shieldwall.dev/v1alpha1",
                "kind": "FederatedTraining",
                "metadata": {"name": training},
                "spec": {
                    "app": {"image": "x", "clientApp": "a:b", "model": "a:b"},
                    "rounds": {"count": 1},
                    "clients": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
                },
            }
        )
    except InvalidTrainingError:
        return False
    return True


def test_the_longest_names_fit_a_label():
    for name in all_names("t" * MAX_TRAINING_NAME, "c" * MAX_CLIENT_NAME).values():
        assert len(name) <= 63
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)


def test_the_word_after_the_trainings_name_is_reserved():
    words = {name.removeprefix("t-").split("-")[0] for name in all_names("t", "c").values()} - {"t"}
    assert words == set(RESERVED_WORDS)


@given(one=TRAININGS, other=TRAININGS, mine=CLIENTS, yours=CLIENTS)
def test_no_two_trainings_own_objects_of_one_name_and_kind(one, other, mine, yours):
    if one == other or not (allowed(one) and allowed(other)):
        return
    first, second = all_names(one, mine), all_names(other, yours)
    for kinds in KINDS:
        assert not {first[kind] for kind in kinds} & {second[kind] for kind in kinds}


@given(one=CLIENTS, other=CLIENTS)
def test_within_a_training_each_object_has_its_own_name(one, other):
    for kinds in KINDS:
        names = [all_names("t", one)[kind] for kind in kinds]
        names += [all_names("t", other)[kind] for kind in kinds if kind in PER_CLIENT and one != other]
        assert len(names) == len(set(names))
