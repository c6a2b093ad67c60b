import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.cli.documents import MAX_BYTES, UnreadableDocumentError, load, parse


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\na: 2\n", "line 2, column 1", "uplicate key"),
        ("a: [1\nb: }", "line 2", "xpected"),
        ("a: 1\n\tb: 2\n", "line 2, column 1", "token"),
        ("---\na: 1\n---\nb: 2\n", "", "2 documents"),
        ("", "", "empty"),
        ("# nothing\n", "", "empty"),
        ("a: *nobody\n", "line 1, column 4", "alias"),
        ("a: !!python/object:os.system x\n", "line 1, column 4", "tag"),
        ("a: 2026-99-99\n", "", "not YAML"),
        ("[" * 5000, "", ""),
        ("a: \x00", "", ""),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text, place, words):
    with pytest.raises(UnreadableDocumentError) as caught:
        parse(text)
    assert caught.value.place.startswith(place)
    assert words in caught.value.message
    assert "\n" not in str(caught.value)


def test_words_that_yaml_1_1_took_for_booleans_are_words():
    assert parse("region: no\nanswer: yes\non: off\n") == {"region": "no", "answer": "yes", "on": "off"}


def test_files_that_cannot_be_read_are_told(tmp_path):
    for path, content, words in (
        (tmp_path / "none.yaml", None, "No such file"),
        (tmp_path, None, "directory"),
        (tmp_path / "latin.yaml", "a: 1\nb: M\u00fcnchen".encode("latin-1"), "UTF-8"),
        (tmp_path / "large.yaml", b"#" * (MAX_BYTES + 1), "1 MiB"),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UnreadableDocumentError, match=words):
            load(path)


@given(text=st.text(st.characters(codec="utf-8"), max_size=40) | st.text("{}[]:,&*!|>'\"-?#%@ \n\tab01", max_size=40))
def test_any_text_is_data_or_refused(text):
    with contextlib.suppress(UnreadableDocumentError):
        parse(text)
