"""What becomes of a budget's limit, on record: another one forgives as much as another period does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.control.api.budget_status import MOST_LIMITS, LimitRecord
from shieldwall.control.status.text import rfc3339

if TYPE_CHECKING:
    from datetime import datetime

    from shieldwall.control.api.budget_status import PrivacyBudgetStatus
    from shieldwall.control.budgets.loss import Loss


def limited(books: PrivacyBudgetStatus, limit: Loss, now: datetime) -> PrivacyBudgetStatus:
    """The books with the limit that the spec has, and with the change on record where there was another one.

    Where there is no room for another change the last record goes on to the limit of now, so that their sum stays.
    """
    after, before = limit.told(), books.limit
    if before is None or before == after:
        return books.model_copy(update={"limit": after})
    change = LimitRecord(before=before, after=after, changed=rfc3339(now))
    kept = books.limits
    if len(kept) >= MOST_LIMITS:
        change = change.model_copy(update={"before": kept[-1].before})
        kept = kept[:-1]
    return books.model_copy(update={"limit": after, "limits": (*kept, change)})
