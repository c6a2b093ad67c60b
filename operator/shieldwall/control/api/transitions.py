"""What cannot be changed in a training that exists: only the API server can check it, as it knows the old one.

Source: Kubernetes, "Transition rules" of CustomResourceDefinitions: a rule that reads ``oldSelf`` is not asked when an
object is made. Every field is asked for by has(): the API server also checks defaults, before theirs are filled in.
"""

from __future__ import annotations

from shieldwall.control.api.privacy import MODE


def unchanged(field: str, sentence: str) -> dict[str, str]:
    """A rule of a section: its ``field`` stays as it is, given or not."""
    same = f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    return _rule(same, field, sentence)


def kept(field: str, sentence: str) -> dict[str, str]:
    """A rule of a section: its ``field`` stays given, or stays absent; its value may change."""
    return _rule(f"has(self.{field}) == has(oldSelf.{field})", field, sentence)


def same_privacy_mode() -> dict[str, str]:
    """A rule of the spec: what its ledger counts, records or clients, stays what it is, and nothing uncounted comes."""
    before = MODE.replace("self.", "oldSelf.")
    return _rule(
        f"{MODE} == {before}",
        "privacy",
        "A training keeps its privacy.mode: what was released under another one is counted otherwise, or not at all."
        " Make a new one.",
    )


def _rule(rule: str, field: str, sentence: str) -> dict[str, str]:
    return {"rule": rule, "fieldPath": f".{field}", "message": sentence, "reason": "FieldValueForbidden"}
