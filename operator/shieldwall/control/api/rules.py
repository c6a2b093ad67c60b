"""Every rule that crosses fields, in the order in which breaches are told."""

from __future__ import annotations

from typing import Final

from shieldwall.control.api.accountable import ACCOUNTABLE
from shieldwall.control.api.budget_reference import BUDGET_REFERENCE
from shieldwall.control.api.privacy_theorems import PRIVACY
from shieldwall.control.api.theorems import THEOREMS
from shieldwall.control.api.unsupported import UNSUPPORTED
from shieldwall.control.api.watching import WATCHING

RULES: Final = THEOREMS + PRIVACY + ACCOUNTABLE + BUDGET_REFERENCE + WATCHING + UNSUPPORTED
