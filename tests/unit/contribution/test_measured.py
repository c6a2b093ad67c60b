"""A small part of benchmarks/contribution, so that what the page says stays so."""

import importlib
import math
from pathlib import Path

import pytest

from shieldwall.local.attackers import AttackKind

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "contribution"


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARK)
    return importlib.import_module("federation")


@pytest.mark.parametrize("alpha", [math.inf, 0.1])
@pytest.mark.parametrize("kind", [AttackKind.FREE_COLLUDING, AttackKind.FREE_STALE, AttackKind.FREE_DELAYED])
def test_all_free_riders_and_nobody_else_are_banned_by_round_eight(run, kind, alpha):
    result = run.run(run.Job(kind, alpha, seed=101, rounds=8))
    assert set(result.banned) == {0, 1, 2}
    assert result.refused <= 1


@pytest.mark.parametrize("alpha", [math.inf, 0.5, 0.1])
def test_without_a_free_rider_nobody_is_banned(run, alpha):
    result = run.run(run.Job(None, alpha, seed=102, rounds=15))
    assert result.banned == {}
    assert result.refused <= 1


def test_a_client_is_missed_that_disguises_a_stale_update(run):
    assert run.run(run.Job(AttackKind.FREE_STALE_NOISE, 0.5, seed=101, rounds=10)).banned == {}


def test_intervals_are_wilsons(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARK)
    measure = importlib.import_module("measure")
    assert measure.wilson(0, 300) == "0.0 % (0.0–1.3)"
    assert measure.wilson(60, 60) == "100.0 % (94.0–100.0)"
    assert measure.wilson(5, 10) == "50.0 % (23.7–76.3)"
    assert measure.wilson(0, 0) == "–"
