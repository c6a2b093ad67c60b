import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from shieldwall.local.cluster import projection
from shieldwall.local.cluster.projection import File

NAMES = st.sampled_from(["tls.crt", "tls.key", "ca.crt", "policy.json"])
SETS = st.dictionaries(NAMES, st.binary(max_size=20).map(File), max_size=4)
START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


@given(sets=st.lists(SETS, max_size=5))
def test_the_directory_always_shows_the_last_set(tmp_path_factory, sets):
    directory = tmp_path_factory.mktemp("volume")
    for files in sets:
        projection.write(directory, files, START, None)
        shown = {path.name: path.read_bytes() for path in directory.iterdir() if not path.name.startswith("..")}
        assert shown == {name: file.content for name, file in files.items()}
    stamped = [path for path in directory.iterdir() if path.name.startswith("..2")]
    assert len(stamped) <= 1


def test_the_same_files_again_change_nothing(tmp_path, now):
    assert projection.write(tmp_path, {"tls.crt": File(b"1")}, now, None)
    before = (tmp_path / "..data").readlink()
    assert not projection.write(tmp_path, {"tls.crt": File(b"1")}, now + dt.timedelta(hours=1), None)
    assert (tmp_path / "..data").readlink() == before


def test_a_reader_of_the_old_directory_never_sees_half_of_a_new_pair(tmp_path, now):
    old = {"tls.crt": File(b"old"), "tls.key": File(b"old", 0o440)}
    projection.write(tmp_path, old, now, None)
    held = (tmp_path / "..data").resolve()
    swaps = []
    original = projection._put
    try:
        # Between any two writes of the new set, both names still lead to the old pair.
        projection._put = lambda path, file, group: (
            original(path, file, group),
            swaps.append({(tmp_path / name).read_bytes() for name in old}),
        )
        projection.write(tmp_path, {"tls.crt": File(b"new"), "tls.key": File(b"new", 0o440)}, now, None)
    finally:
        projection._put = original
    assert swaps == [{b"old"}, {b"old"}]
    assert {(tmp_path / name).read_bytes() for name in old} == {b"new"}
    assert not held.exists()


def test_modes_are_as_the_template_says(tmp_path, now):
    projection.write(tmp_path, {"tls.key": File(b"k", 0o440), "ca.crt": File(b"c", 0o644)}, now, None)
    assert (tmp_path / "tls.key").stat().st_mode & 0o777 == 0o440
    assert (tmp_path / "ca.crt").stat().st_mode & 0o777 == 0o644


def test_a_changed_mode_is_a_change(tmp_path, now):
    projection.write(tmp_path, {"tls.key": File(b"k", 0o444)}, now, None)
    assert projection.write(tmp_path, {"tls.key": File(b"k", 0o440)}, now, None)
