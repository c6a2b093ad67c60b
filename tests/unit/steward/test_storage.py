"""What was acknowledged is there after a crash; what was torn is not."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from shieldwall.runtime.steward.storage import append_line, read_lines, read_text, remove, replace_text

LINE = st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=20)


def test_replaced_text_is_read_back_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "new" / "state.json"
    assert read_text(path) is None
    replace_text(path, "one")
    replace_text(path, "two")
    assert read_text(path) == "two"
    assert [each.name for each in path.parent.iterdir()] == ["state.json"]


def test_a_crash_before_the_rename_leaves_the_old_text(tmp_path):
    path = tmp_path / "state.json"
    replace_text(path, "old")
    (tmp_path / ".state.json.new").write_text("half of the ne")
    assert read_text(path) == "old"
    replace_text(path, "new")
    assert read_text(path) == "new"


@settings(max_examples=25, deadline=None)  # each example waits for the disk
@given(lines=st.lists(LINE, max_size=5), torn=LINE)
def test_a_torn_last_line_is_cut_off_and_the_next_one_is_whole(tmp_path_factory, lines, torn):
    path = tmp_path_factory.mktemp("lines") / "records.jsonl"
    for line in lines:
        append_line(path, line)
    with path.open("a") as file:
        file.write(torn)
    assert read_lines(path) == lines
    append_line(path, "next")
    assert read_lines(path) == [*lines, "next"]


def test_there_may_be_no_file(tmp_path):
    assert read_lines(tmp_path / "none") == []
    remove(tmp_path / "none" / "none")
    replace_text(tmp_path / "some", "x")
    remove(tmp_path / "some")
    assert read_text(tmp_path / "some") is None
