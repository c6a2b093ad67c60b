"""What cannot be changed in a training that exists: only the API server can check it, as it knows the old one.

Source: Kubernetes, "Transition rules" of CustomResourceDefinitions: a rule that reads ``oldSelf`` is not asked when an
object is made. Every field is asked for by has(): the API server also checks defaults, before theirs are filled in.
"""

from __future__ import annotations


def unchanged(field: str, sentence: str) -> dict[str, str]:
    """A rule of a section: its ``field`` stays as it is, given or not."""
    same = f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    return _rule(same, field, sentence)


def kept(field: str, sentence: str) -> dict[str, str]:
    """A rule of a section: its ``field`` stays given, or stays absent; its value may change."""
    return _rule(f"has(self.{field}) == has(oldSelf.{field})", field, sentence)


def _rule(rule: str, field: str, sentence: str) -> dict[str, str]:
    return {"rule": rule, "fieldPath": f".{field}", "message": sentence, "reason": "FieldValueForbidden"}
