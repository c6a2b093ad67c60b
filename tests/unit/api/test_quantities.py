from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils import parse_quantity

from shieldwall.control.api.quantities import canonical, canonical_list


@pytest.mark.parametrize(
    ("written", "returned"),
    [
        # As k8s.io/apimachinery 0.34 prints them, after the rounding of core/v1.
        ("0.5", "500m"),
        ("500m", "500m"),
        ("2", "2"),
        ("2000m", "2"),
        ("1500", "1500"),
        ("1000", "1k"),
        ("1000k", "1M"),
        ("007", "7"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1.5Gi", "1536Mi"),
        ("1.5Ki", "1536"),
        ("0.5Ki", "512"),
        ("1Ki", "1Ki"),
        ("1048576", "1048576"),
        ("0.3Ki", "307200m"),
        ("1.0001Ki", "1024103m"),
        ("0", "0"),
        ("0Gi", "0"),
        ("0.000", "0"),
        ("1n", "1m"),
        ("1001u", "2m"),
        ("16Ei", "9223372036854775807"),
        ("9E", "9E"),
        ("1000E", "9223372036854775807"),
    ],
)
def test_a_quantity_is_written_as_the_api_server_writes_it(written, returned):
    assert canonical(written) == returned


@pytest.mark.parametrize("text", ["", "x", "-1", "1e3", "1Kib", ".5", "5.", " 1", "1\n"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="is not a quantity"):
        canonical(text)


NUMBERS = st.decimals(0, 10**9, places=3) | st.integers(0, 10**12) | st.integers(0, 40).map(lambda power: 2**power)
SUFFIXES = st.sampled_from(["m", "", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"])


@given(number=NUMBERS, suffix=SUFFIXES)
def test_it_stays_as_much_as_it_was_and_is_written_in_one_way(number, suffix):
    written = f"{number}{suffix}"
    found = canonical(written)
    assert canonical(found) == found
    wanted = min(parse_quantity(written), Decimal(2**63 - 1))
    assert 0 <= parse_quantity(found) - wanted < Decimal("0.001")
    assert "." not in found


@given(number=st.integers(1, 10**6), units=st.sampled_from(["m ", " k", "kM", "MG", "GT", "Ki Mi", "Mi Gi", "Gi Ti"]))
def test_equal_quantities_of_one_kind_are_written_alike(number, units):
    small, large = units.split() if "i" in units else (unit.strip() for unit in units)
    step = 1024 if "i" in units else 1000
    assert canonical(f"{number * step}{small}") == canonical(f"{number}{large}")
    assert canonical(f"{number}.0{small}") == canonical(f"{number}{small}")


def test_a_list_keeps_its_names():
    assert canonical_list({"cpu": "0.5", "nvidia.com/gpu": "1"}) == {"cpu": "500m", "nvidia.com/gpu": "1"}
