"""What counts as drift, for any manifest."""

import copy

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shieldwall.control.cluster.drift import drift, unasked

KEYS = st.text("abcdef", min_size=1, max_size=3).filter(lambda key: key != "name")
LEAVES = st.one_of(st.integers(-3, 300), st.booleans(), st.text("xyz", max_size=3))
NAMES = st.text("klm", min_size=1, max_size=2)


def _containers(inner):
    named = st.dictionaries(NAMES, st.dictionaries(KEYS, inner, max_size=3), max_size=3)
    return st.one_of(
        st.dictionaries(KEYS, inner, max_size=4),
        st.lists(inner, max_size=3),
        named.map(lambda items: [{"name": name, **rest} for name, rest in items.items()]),
    )


TREES = st.recursive(LEAVES, _containers, max_leaves=15)
MANIFESTS = st.dictionaries(KEYS, TREES, max_size=5)


def leaves_of(tree, path=()):
    """Paths of what is not empty."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves_of(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from leaves_of(value, (*path, index))
    elif tree:
        yield path


def at(tree, path):
    for step in path:
        tree = tree[step]
    return tree


def defaulted(tree, more):
    """As the API server answers: fields of its own in every object, and most empty values dropped."""
    if isinstance(tree, dict):
        kept = {key: defaulted(value, more) for key, value in tree.items() if value or more % 2}
        return {**kept, "apiServerDefault": more} if "name" not in tree or more % 3 else kept
    return [defaulted(item, more) for item in tree] if isinstance(tree, list) else tree


@given(MANIFESTS)
def test_an_object_is_as_wanted_when_it_is_what_was_wanted(desired):
    assert list(drift(desired, copy.deepcopy(desired))) == []


@given(MANIFESTS, st.integers(0, 5))
def test_defaults_of_the_api_server_are_no_drift(desired, more):
    assert list(drift(desired, defaulted(desired, more))) == []


@given(MANIFESTS, st.data())
def test_every_changed_leaf_is_drift(desired, data):
    paths = list(leaves_of(desired))
    assume(paths)
    path, live = data.draw(st.sampled_from(paths)), copy.deepcopy(desired)
    at(live, path[:-1])[path[-1]] = "changed"
    assert list(drift(desired, live))


@given(MANIFESTS, st.data())
def test_every_leaf_that_went_is_drift(desired, data):
    paths = list(leaves_of(desired))
    assume(paths)
    path, live = data.draw(st.sampled_from(paths)), copy.deepcopy(desired)
    del at(live, path[:-1])[path[-1]]
    assert list(drift(desired, live))


@given(st.dictionaries(NAMES, st.dictionaries(KEYS, LEAVES, max_size=3), min_size=2, max_size=4), st.data())
def test_lists_of_named_things_are_compared_by_name_whatever_their_order(items, data):
    desired = {"env": [{"name": name, **rest} for name, rest in items.items()]}
    assert list(drift(desired, {"env": data.draw(st.permutations(desired["env"]))})) == []


@pytest.mark.parametrize(("desired", "live", "path"), [
    ({"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}, "spec.replicas"),
    ({"spec": {"replicas": 0}}, {"spec": {"replicas": 1}}, "spec.replicas"),
    ({"spec": {"ingress": []}}, {"spec": {"ingress": [{}]}}, "spec.ingress"),
    ({"c": [{"name": "a", "image": "x"}]}, {"c": [{"name": "a", "image": "y"}]}, "c[a].image"),
    ({"c": [{"name": "a"}]}, {"c": [{"name": "b"}]}, "c[a].name"),
    ({"c": [{"name": "a"}]}, {"c": [{"name": "a"}, {"name": "b"}]}, "c"),
    ({"ports": [1, 2]}, {"ports": [2, 1]}, "ports[0]"),
    ({"automount": False}, {"automount": True}, "automount"),
    ({"data": {"k": "v"}}, {}, "data.k"),
    ({"data": {"k": "v"}}, {"data": "v"}, "data.k"),
])  # fmt: skip
def test_the_first_path_that_is_named(desired, live, path):
    assert next(drift(desired, live)) == path


@pytest.mark.parametrize(("desired", "live"), [
    ({"emptyDir": {}}, {}), ({"ingress": []}, {}), ({"hostNetwork": False}, {}), ({"a": None}, {}),
    ({"a": {"b": {}}}, {"a": None}), ({"a": 1}, {"a": 1, "b": 2}),
])  # fmt: skip
def test_empty_and_absent_are_the_same(desired, live):
    assert list(drift(desired, live)) == []


@pytest.mark.parametrize("field", ["allowPrivilegeEscalation", "automountServiceAccountToken", "enableServiceLinks"])
def test_a_false_that_means_true_when_it_is_absent_is_missed(field):
    wanted = {"spec": {"containers": [{"name": "c", field: False}]}}
    assert list(drift(wanted, {"spec": {"containers": [{"name": "c"}]}})) == [f"spec.containers[c].{field}"]
    assert list(drift({"hostNetwork": False}, {})) == []


WANTED = {
    "spec": {
        "replicas": 1,
        "template": {"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80}], "env": []}]}},
        "types": ["Ingress", "Egress"],
    }
}
OURS = {
    "f:spec": {
        "f:replicas": {},
        "f:template": {
            "f:spec": {
                "f:containers": {
                    'k:{"name":"c"}': {
                        ".": {},
                        "f:name": {},
                        "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                    }
                }
            }
        },
        "f:types": {'v:"Ingress"': {}},
    }
}


def test_what_was_asked_for_is_no_more_than_was_asked_for():
    assert list(unasked(WANTED, WANTED, OURS)) == []


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"f:spec": {"f:template": {"f:spec": {"f:hostNetwork": {}}}}}, "spec.template.spec.hostNetwork"),
        ({"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"d"}': {}}}}}},
         'spec.template.spec.containers[{"name":"d"}]'),
        ({"f:spec": {"f:types": {'v:"Other"': {}}}}, "spec.types"),
        ({"f:spec": {"f:replicas": {"f:more": {}}}}, "spec.replicas.more"),
        ({"f:data": {"f:more": {}}}, "data"),
    ],
)  # fmt: skip
def test_what_nobody_asked_for_is_named(fields, path):
    assert list(unasked(WANTED, {}, fields)) == [path]


WALL = {"spec": {"podSelector": {"matchLabels": {"a": "b"}}, "ingress": [{"from": [{"podSelector": {}}]}]}}
WHOLES = {"f:spec": {"f:podSelector": {}, "f:ingress": {}}}


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        ({}, []),
        ({"podSelector": {"matchLabels": {"a": "b"}, "matchExpressions": []}}, []),
        ({"podSelector": {"matchLabels": {"a": "b", "c": "d"}}}, ["spec.podSelector.matchLabels.c"]),
        ({"ingress": [{"from": [{"podSelector": {"matchLabels": {"c": "d"}}}]}]},
         ["spec.ingress[0].from[0].podSelector.matchLabels"]),
    ],
)  # fmt: skip
def test_what_is_written_as_a_whole_is_compared_as_a_whole(change, paths):
    assert list(unasked(WALL, {"spec": WALL["spec"] | change}, WHOLES)) == paths
