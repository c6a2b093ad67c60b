"""Pods that do not serve a new certificate yet are nudged again, less and less often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shieldwall.control.nudges import Nudges

START = datetime(2026, 11, 1, tzinfo=UTC)


def at(seconds):
    return START + timedelta(seconds=seconds)


def test_a_client_that_stays_away_costs_four_patches_an_hour():
    nudges = Nudges()
    told = [second for second in range(0, 4 * 3600, 10) if nudges.due({"digits-tls-c0": "0a"}, at(second))]
    assert told[:6] == [0, 30, 90, 210, 450, 930]
    assert sum(second >= 3 * 3600 for second in told) == 4


def test_a_new_certificate_is_told_of_at_once():
    nudges = Nudges()
    assert nudges.due({"digits-tls-c0": "0a"}, START) == {"digits-tls-c0"}
    assert nudges.due({"digits-tls-c0": "0a"}, at(29)) == set()
    assert nudges.due({"digits-tls-c0": "0b", "digits-tls-c1": "0c"}, at(29)) == {"digits-tls-c0", "digits-tls-c1"}
    assert nudges.due({"digits-tls-c0": "0b", "digits-tls-c1": "0c"}, at(58)) == set()


def test_what_was_served_in_between_begins_anew():
    nudges = Nudges()
    for second in (0, 30, 90):
        assert nudges.due({"digits-tls-c0": "0a"}, at(second))
    assert nudges.due({}, at(91)) == set()
    assert nudges.due({"digits-tls-c0": "0a"}, at(92))
    assert nudges.due({"digits-tls-c0": "0a"}, at(122))
