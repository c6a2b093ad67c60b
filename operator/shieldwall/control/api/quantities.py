"""Kubernetes quantities in the form in which the API server gives them back, so that what is wanted can be compared.

Source: k8s.io/apimachinery/pkg/api/resource, ``Quantity``, "canonical form"; and the defaults of core/v1, by which the
quantities of a ResourceList are rounded up to thousandths.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([numkMGTPE]|[KMGTPE]i)?")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_KIBI: Final = 1024
_MOST: Final = (2**63 - 1) * 1000
"""In thousandths. The API server cuts binary quantities to it, and loses the suffix of decimal ones from 1000E on."""


def amount(quantity: str) -> Fraction:
    """How much it is, exactly; raises ValueError for what is no quantity."""
    number, suffix = _parts(quantity)
    scale = Fraction(_KIBI) ** _BINARY[suffix] if suffix in _BINARY else Fraction(10) ** _DECIMAL[suffix]
    return Fraction(number) * scale


def canonical(quantity: str) -> str:
    """The same quantity with the largest suffix that needs no fraction; raises ValueError for what is none.

    ``0.5`` is ``500m``, ``1024Mi`` is ``1Gi``, ``1.5Gi`` is ``1536Mi`` and ``1000k`` is ``1M``.
    """
    number, suffix = _parts(quantity)
    if suffix in _BINARY:
        thousandths = min(_thousandths(number, _KIBI ** _BINARY[suffix], 1), _MOST)
        whole, rest = divmod(thousandths, 1000)
        return _decimal(thousandths) if rest or whole < _KIBI else _binary(whole)
    return _decimal(min(_thousandths(number, 10 ** (_DECIMAL[suffix] + 9), 10**9), _MOST))


def canonical_list(resources: Mapping[str, str]) -> dict[str, str]:
    """A ResourceList with canonical quantities."""
    return {name: canonical(quantity) for name, quantity in resources.items()}


def _parts(quantity: str) -> tuple[str, str]:
    match = _QUANTITY.fullmatch(quantity)
    if match is None:
        raise ValueError(f"{quantity!r} is not a quantity")
    return match[1], match[2] or ""


def _thousandths(number: str, numerator: int, denominator: int) -> int:
    """``number · numerator / denominator`` in thousandths, rounded up: exact, since no float is in it."""
    whole, _, fraction = number.partition(".")
    above = int(whole + fraction) * numerator * 1000
    below: int = denominator * 10 ** len(fraction)
    return -(-above // below)


def _decimal(thousandths: int) -> str:
    if thousandths == 0:
        return "0"
    suffix = "m"
    for larger in ("", "k", "M", "G", "T", "P", "E"):
        if thousandths % 1000:
            break
        thousandths, suffix = thousandths // 1000, larger
    return f"{thousandths}{suffix}"


def _binary(whole: int) -> str:
    suffix = ""
    for larger in _BINARY:
        if whole % _KIBI:
            break
        whole, suffix = whole // _KIBI, larger
    return f"{whole}{suffix}"
