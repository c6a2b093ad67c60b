"""Trainings under differential privacy, in pods: what status says was spent is what the volume's ledger comes to."""

from __future__ import annotations

import json
from math import exp, sqrt
from statistics import NormalDist

import pytest

from .documents import CITIES, digits
from .kubectl import KubectlError, eventually

CLIENTS, ROUNDS = 4, 6
BUDGET, FIRST, SECOND = 2.5, 1.0, 1.55
"""The second does not fit while all of the first's is reserved, and does once its unused attempt is returned."""
DELTA = 1e-5

pytestmark = pytest.mark.timeout(600)


def budget():
    return {
        "apiVersion": "shieldwall.dev/v1alpha1",
        "kind": "PrivacyBudget",
        "metadata": {"name": "patients"},
        "spec": {
            "epsilon": BUDGET,
            "delta": 1e-4,
            "unit": "Record",
            "data": list(CITIES[:CLIENTS]),
            "period": {"name": "2030"},
        },
    }


def by_record(image, name, epsilon):
    """The example that trains by DP-SGD, drawing on the budget."""
    privacy = {"mode": "RecordLevel", "epsilon": epsilon, "delta": DELTA, "clip": 0.3, "budgetRef": "patients"}
    document = digits(
        image,
        CLIENTS,
        ROUNDS,
        name,
        aggregation={"rule": "ClippedMean", "maxNorm": 100, "byzantine": 1},
        privacy={**privacy, "records": 140, "batchSize": 140, "steps": 2},
    )
    document["spec"]["app"] |= {
        "clientApp": "digits.private:app",
        "model": "digits.private:initial_arrays",
        "evaluate": "digits.private:evaluate",
        "config": {"lr": 10.0},
    }
    return document


def by_client(image, name):
    """The ordinary example, unchanged: the aggregator adds the noise."""
    privacy = {"mode": "ClientLevelCentral", "epsilon": 8.0, "delta": 0.01, "acknowledge": ["LowSignalToNoise"]}
    return digits(
        image,
        CLIENTS,
        ROUNDS,
        name,
        aggregation={"rule": "ClippedMean", "byzantine": 1},
        privacy={**privacy, "clip": 1.0},
    )


def lines(kubectl, training, file="privacy.jsonl"):
    """What the model's volume has."""
    text = kubectl.run(f"{training}-aggregator-0", "aggregator", "cat", f"/var/lib/shieldwall/model/{file}")
    return [json.loads(line) for line in text.splitlines()]


def accounted(spends, delta):
    """ε of so many Gaussian releases, each of all records or clients (Balle and Wang 2018, Theorem 8)."""
    mu = sqrt(sum(each.get("releases", 1) / each["noise_multiplier"] ** 2 for each in spends))
    lost = lambda epsilon: (  # noqa: E731
        NormalDist().cdf(mu / 2 - epsilon / mu) - exp(epsilon) * NormalDist().cdf(-mu / 2 - epsilon / mu)
    )
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if lost(middle) > delta else (low, middle)
    return high


def suspend(kubectl, training):
    """Make room: a small node has none for two trainings."""
    kubectl("patch", f"ft/{training}", "--type=merge", "-p", '{"spec": {"suspend": true}}')


def ended(kubectl, training):
    return eventually(
        lambda: (s := kubectl.status(training)).get("phase") in {"Completed", "Failed"} and s, 240, pause=0.3
    )


@pytest.fixture(scope="module")
def refused(site, kubectl):
    """Two trainings over the same people's data; what status said of the second before the first had ended."""
    kubectl.apply(budget())
    kubectl.apply(by_record(site.images.digits, "first", FIRST))
    eventually(lambda: kubectl.status("first").get("round", 0) >= 1, 180)
    kubectl.apply(by_record(site.images.digits, "second", SECOND))
    return eventually(lambda: (s := kubectl.status("second")).get("message") and s, 30)


def test_what_does_not_fit_into_the_budget_is_refused_with_the_sum(refused, kubectl):
    stalled = next(each for each in refused["conditions"] if each["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "BudgetExhausted")
    assert f"second needs ε = {SECOND}" in stalled["message"]
    assert f"of {BUDGET} left" in stalled["message"]
    assert refused.get("round", 0) == 0


def test_spent_by_record_is_what_the_volume_says_and_stays_within_the_target(refused, kubectl, report):
    status = ended(kubectl, "first")
    assert (status["phase"], status["round"]) == ("Completed", ROUNDS), status
    spends = lines(kubectl, "first")
    assert {each["mode"] for each in spends} == {"RecordLevel"}
    assert len(spends) >= ROUNDS
    privacy = status["privacy"]
    assert privacy["epsilonSpent"] == pytest.approx(accounted(spends, DELTA), rel=0.01)
    assert privacy["epsilonSpent"] <= FIRST
    assert (privacy["mode"], privacy["unit"]) == ("RecordLevel", "record")
    assert status["accuracy"] > 0.3, "something is learnt, with noise"
    report("privacy by record: epsilon, accuracy", [privacy["epsilonSpent"], status["accuracy"]])


def test_what_was_not_used_is_returned_and_the_next_training_begins(refused, kubectl):
    kubectl("wait", "--for=jsonpath={.status.trainings[0].state}=Settled", "pb/patients", "--timeout=60s")
    suspend(kubectl, "first")
    eventually(lambda: kubectl.status("second").get("round", 0) >= 2, 180)
    header, row = kubectl("get", "pb").splitlines()
    assert header.split() == ["NAME", "EPSILON", "SPENT", "RESERVED", "LEFT", "READY", "AGE"]
    assert "patients" in row


def test_no_kill_of_the_aggregator_makes_a_release_uncounted(refused, kubectl):
    """Its pod goes at once, in the middle of a round: whoever was asked before is on the ledger."""
    eventually(lambda: kubectl.status("second").get("round", 0) >= 2, 180)
    before, status = lines(kubectl, "second"), kubectl.status("second")
    assert (status["phase"], status["round"] < ROUNDS) == ("Training", True), "in the middle of it"
    kubectl.delete("pod", "second-aggregator-0", "--force", "--grace-period=0")
    status = ended(kubectl, "second")
    spends = lines(kubectl, "second")
    assert spends[: len(before)] == before
    assert len(spends) > len(before), "and who is asked after it"
    asked = {(each["round"], each["attempt"]) for each in lines(kubectl, "second", "ledger.jsonl")}
    assert {number for number, _ in asked} <= {each["round"] for each in spends}
    assert status["privacy"]["epsilonSpent"] == pytest.approx(accounted(spends, DELTA), rel=0.01)
    assert status["privacy"]["epsilonSpent"] <= SECOND
    books = kubectl.get("pb", "patients")["status"]
    assert sum(float(books[part]["epsilon"]) for part in ("spent", "reserved")) <= BUDGET
    suspend(kubectl, "second")


def test_a_budget_refuses_to_be_forgotten_without_a_reason(refused, kubectl):
    with pytest.raises(KubectlError, match="reason"):
        kubectl("patch", "pb/patients", "--type=merge", "-p", '{"spec": {"period": {"name": "2031"}}}')


def test_an_unchanged_app_is_private_by_client_and_every_release_is_counted(site, kubectl):
    kubectl.apply(by_client(site.images.digits, "central"))
    status = ended(kubectl, "central")
    assert (status["phase"], status["round"]) == ("Completed", ROUNDS), status
    spends = lines(kubectl, "central")
    assert [each["round"] for each in spends] == list(range(1, ROUNDS + 1)), "one for each release"
    privacy = status["privacy"]
    assert (privacy["mode"], privacy["unit"]) == ("ClientLevelCentral", "client")
    assert privacy["epsilonSpent"] == pytest.approx(accounted(spends, 0.01), rel=0.01)
    assert privacy["epsilonSpent"] <= 8.0  # its target
    header, *rows = kubectl("get", "ft").splitlines()
    (row,) = [line.split() for line in rows if line.startswith("central")]
    assert row[header.split().index("EPSILON")].endswith("/8")
