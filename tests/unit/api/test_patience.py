"""Trainings that f silent clients hold up, and what is said of them."""

import re
from itertools import product

import pytest

from shieldwall.contract.policy import Rule
from shieldwall.control.api.parse import parse_training
from shieldwall.control.api.patience import impatience


def spec_of(clients=10, **sections):
    aggregation = {"rule": "FedTrimmedAvg", "byzantine": 2} | sections.get("aggregation", {})
    return parse_training(
        {
            "apiVersion": "shieldwall.dev/v1alpha1",
            "kind": "FederatedTraining",
            "metadata": {"name": "digits", "namespace": "ns"},
            "spec": {
                "app": {"image": "x", "clientApp": "a:b", "model": "a:c"},
                "rounds": {"count": 3} | sections.get("rounds", {}),
                "clients": [{"name": f"c{n}"} for n in range(clients)],
                "aggregation": aggregation,
            },
        }
    ).spec


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        (
            {"rounds": {"minReplies": 9}},
            (
                "A round asks 10 clients and needs 9 replies, so 2 of the f = 2 that may lie can hold up every round by"
                " silence. Use minReplies: 8."
            ),
        ),
        ({"rounds": {"minReplies": 10}}, "so 1 of the f = 2"),
        ({"rounds": {"minReplies": 8}}, ""),
        ({}, ""),
        ({"aggregation": {"byzantine": 0}, "rounds": {"minReplies": 10}}, ""),
        ({"rounds": {"minReplies": 10}, "aggregation": {"rule": "FedAvg", "byzantine": 0, "insecure": True}}, ""),
        ({"rounds": {"fractionTrain": 0.3, "minReplies": 5}}, "Use fractionTrain: 0.7 and minReplies: 5, since"),
        (
            {"clients": 7, "aggregation": {"rule": "Krum"}},
            (
                "A round asks 7 clients and needs 7 replies, so 1 of the f = 2 that may lie can hold up every round by"
                " silence. Use byzantine: 1 and minReplies: 5, or at least 9 clients, since Krum needs 7 replies"
                " (Blanchard 2017)."
            ),
        ),
        (
            {"clients": 3, "aggregation": {"byzantine": 1}},
            "Use at least 4 clients, since FedTrimmedAvg needs 3 replies",
        ),
    ],
    ids=str,
)
def test_who_asks_for_more_than_n_less_f_replies_is_told_the_nearest_values(sections, said):
    found = impatience(spec_of(**sections))
    assert said in found
    assert bool(said) is bool(found)


RULES = [rule for rule in Rule if rule is not Rule.FED_AVG]
GRID = product(RULES, (4, 7, 10, 25), (1, 2, 3), (0.3, 0.5, 1.0), (None, 3, 5, 7, 9))


def test_following_what_is_said_ends_it_whatever_the_training():
    for rule, clients, f, fraction, replies in GRID:
        rounds = {"fractionTrain": fraction} | ({"minReplies": replies} if replies and replies <= clients else {})
        norm = {"maxNorm": 1.0} if rule in {Rule.CLIPPED_MEAN, Rule.CENTERED_CLIPPING} else {}
        sections = {"aggregation": {"rule": rule.value, "byzantine": f} | norm, "rounds": rounds}
        try:
            spec = spec_of(clients, **sections)
        except ValueError:
            continue  # outside its theorem
        if said := impatience(spec):
            advice = dict(re.findall(r"(\w+): ([\d.]+\d|\d)", said.rpartition(" Use ")[2]))
            found = re.search(r"at least (\d+) clients", said)
            more = int(found[1]) if found and "minReplies" not in advice else clients
            if "byzantine" in advice:
                sections["aggregation"]["byzantine"] = int(advice.pop("byzantine"))
            rounds |= {key: float(value) if key == "fractionTrain" else int(value) for key, value in advice.items()}
            assert impatience(spec_of(more, **sections)) == "", said
