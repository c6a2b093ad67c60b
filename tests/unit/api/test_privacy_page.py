"""docs/privacy.md says what the code holds to."""

import inspect
import re
from pathlib import Path

import pytest
from flwr.supernode import start_client_internal

from shieldwall.accounting import Release, epsilon_of, noise_multiplier_for
from shieldwall.accounting.sensitivity import BUCKETED, MIXED, TABLE, UNKNOWN_IN_BUCKETS
from shieldwall.control.api.privacy import LOW_SIGNAL, MODE_TO_BE_SAID, PrivacyMode

PAGE = (Path(__file__).parents[3] / "docs" / "privacy.md").read_text(encoding="utf-8")
ROWS = {cells[1]: cells for line in PAGE.splitlines() if len(cells := [cell.strip() for cell in line.split("|")]) > 4}
ENTRIES = {rule.value: entry for rule, entry in TABLE.items()} | {
    "any after NearestNeighborMixing": MIXED,
    "FedTrimmedAvg after Bucketing": BUCKETED,
    "any other after Bucketing": UNKNOWN_IN_BUCKETS,
}


@pytest.mark.parametrize("name", ENTRIES)
def test_each_sensitivity_is_on_the_page_with_what_follows(name):
    entry, (_, _, formula, verdict, _) = ENTRIES[name], ROWS[name]
    assert formula == entry.formula
    if entry.refused:
        assert verdict == f"refused: it {entry.refused}"
    else:
        assert verdict == (f"sound, and a bad choice: {entry.warned}" if entry.warned else "sound")


def test_no_other_rule_is_on_the_page():
    named = {name for name, cells in ROWS.items() if re.match("sound|refused: it", cells[3])}
    assert named == set(ENTRIES)


@pytest.mark.parametrize("mode", PrivacyMode)
def test_each_mode_is_on_the_page(mode):
    assert mode.value in ROWS


def test_its_numbers_are_those_of_the_code():
    noise = noise_multiplier_for(1.0, 1e-5, 100)
    assert f"a round of {int(noise * 10) + 1} is the least" in PAGE
    assert f"gives ε = {epsilon_of({Release(noise / 10): 100}, 1e-5):.1f}:" in PAGE
    assert f"fewer than {MODE_TO_BE_SAID} clients" in PAGE
    assert f"Below {LOW_SIGNAL} the condition" in " ".join(PAGE.split())


@pytest.mark.parametrize("mode", [PrivacyMode.RECORD_LEVEL, PrivacyMode.CLIENT_LEVEL_LOCAL])
def test_it_promises_no_more_than_a_client_that_keeps_no_count_can_keep(mode):
    """Whoever gives clients a count of what they answered may promise more, and changes this."""
    assert ROWS[mode.value][4] == "everybody, also a server that is curious but honest"
    assert "## What an active server could do" in PAGE
    assert "**ε bounds nothing against it**" in PAGE


def test_the_line_that_a_site_counts_is_one_that_its_supernode_logs():
    assert "`Receiving: train message`" in PAGE
    assert '"Receiving: %s message' in inspect.getsource(start_client_internal)


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (Path(__file__).parents[3] / "docs" / target).is_file(), target
