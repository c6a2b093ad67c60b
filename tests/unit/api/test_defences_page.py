"""docs/defences.md says what the code holds to."""

from pathlib import Path

import pytest

from shieldwall.contract.policy import PreAggregation, Rule
from shieldwall.contract.theorem import PRE_AGGREGATIONS, THEOREMS, replies_needed

PAGE = (Path(__file__).parents[3] / "docs" / "defences.md").read_text(encoding="utf-8")
ROWS = {cells[1]: cells for line in PAGE.splitlines() if len(cells := [cell.strip() for cell in line.split("|")]) == 6}


@pytest.mark.parametrize("rule", Rule)
def test_each_rules_theorem_is_on_the_page(rule):
    _, _, needs, promise, source, _ = ROWS[rule.value]
    theorem = THEOREMS[rule]
    assert (promise, source) == (theorem.promise, theorem.source)
    if theorem.factor:
        assert theorem.condition in needs


@pytest.mark.parametrize("before", PreAggregation)
def test_each_pre_aggregations_theorem_is_on_the_page(before):
    _, _, _, promise, source, _ = ROWS[before.value]
    assert (promise, source) == (PRE_AGGREGATIONS[before].promise, PRE_AGGREGATIONS[before].source)


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("before", [None, *PreAggregation])
@pytest.mark.parametrize("f", range(6))
def test_what_is_needed_is_the_first_number_for_which_the_inequalities_hold(rule, before, f):
    needs = {
        Rule.FED_AVG: lambda n: n >= 1,
        Rule.CLIPPED_MEAN: lambda n: n > 2 * f,
        Rule.FED_MEDIAN: lambda n: n > 2 * f,
        Rule.FED_TRIMMED_AVG: lambda n: n > 2 * f,
        Rule.GEOMETRIC_MEDIAN: lambda n: n > 2 * f,
        Rule.KRUM: lambda n: n >= 2 * f + 3,
        Rule.MULTI_KRUM: lambda n: n >= 2 * f + 3,
        Rule.BULYAN: lambda n: n >= 4 * f + 3,
        Rule.CENTERED_CLIPPING: lambda n: n >= max(10 * f, 1),
    }[rule]
    size = 3

    def holds(n):
        if before is None:
            return needs(n)
        if before is PreAggregation.BUCKETING:
            return needs(-(-n // size)) and size * f < n / 2
        return needs(n) and n > 2 * f

    assert replies_needed(rule, f, before, size) == next(n for n in range(1, 500) if holds(n))
