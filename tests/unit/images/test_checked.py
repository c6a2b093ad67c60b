"""An image is tried until nothing is wrong with it, and again when it or the checks are others."""

from __future__ import annotations

import pytest
from images import checked
from images.catalogue import Image
from images.checked import check_once


class Shelf:
    """A buildah whose one image has an identity."""

    identity_now = "one"

    def identity(self, tag):
        return self.identity_now


@pytest.fixture
def tried(tmp_path, monkeypatch):
    """Tries the image; the result is whether that was done, and what is wrong with it is in ``problems``."""
    for name in (*checked._CHECKS, "lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    output = tmp_path / "output"
    output.mkdir()
    monkeypatch.setattr(checked, "ROOT", tmp_path)

    def ask():
        count = len(ask.calls)
        verdict = check_once(ask.shelf, output, Image("one", "one:1", ".", "Dockerfile", ("lock",)))
        assert verdict.known == (len(ask.calls) == count)
        assert verdict.problems == ([] if verdict.known else ask.problems)
        return not verdict.known

    ask.calls, ask.problems, ask.shelf, ask.root = [], [], Shelf(), tmp_path
    monkeypatch.setattr(checked, "check", lambda buildah, image: ask.calls.append(image) or ask.problems)
    return ask


def test_an_image_that_passed_is_not_tried_again(tried):
    assert tried()
    assert not tried()


def test_an_image_with_problems_is_tried_each_time(tried):
    tried.problems = ["it holds gcc"]
    assert tried()
    assert tried()
    tried.problems = []
    assert tried()
    assert not tried()


@pytest.mark.parametrize("name", [*checked._CHECKS, "lock"])
def test_it_is_tried_again_when_a_check_or_what_it_is_made_of_has_changed(tried, name):
    tried()
    (tried.root / name).write_text("new")
    assert tried()


def test_another_image_of_that_name_is_tried(tried):
    tried()
    tried.shelf.identity_now = "two"
    assert tried()
