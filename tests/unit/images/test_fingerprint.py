import pytest
from images.fingerprint import fingerprint


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "one.py").write_text("1")
    (tmp_path / "lock").write_text("2")
    (tmp_path / "other").write_text("3")
    return tmp_path


def mark(tree, *more):
    return fingerprint(tree, ("code", "lock"), *more)


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "code" / "one.py").write_text("x"),
        lambda tree: (tree / "code" / "two.py").write_text(""),
        lambda tree: (tree / "code" / "one.py").rename(tree / "code" / "uno.py"),
        lambda tree: (tree / "code" / "one.py").chmod(0o700),
        lambda tree: (tree / "code" / "one.py").unlink(),
        lambda tree: (tree / "lock").write_text("x"),
    ],
)
def test_any_change_of_an_input_is_seen(tree, change):
    before = mark(tree)
    change(tree)
    assert mark(tree) != before


def test_the_base_and_the_parent_count_too(tree):
    assert len({mark(tree), mark(tree, "base"), mark(tree, "base", "parent"), mark(tree, "basep", "arent")}) == 4


def test_what_is_no_input_does_not_count(tree):
    before = mark(tree)
    (tree / "other").write_text("x")
    (tree / "code" / "__pycache__").mkdir()
    (tree / "code" / "__pycache__" / "one.pyc").write_text("x")
    (tree / "code" / "one.py").touch()
    assert mark(tree) == before


def test_an_input_that_is_not_there_is_an_error(tree):
    with pytest.raises(FileNotFoundError):
        fingerprint(tree, ("nowhere",))
