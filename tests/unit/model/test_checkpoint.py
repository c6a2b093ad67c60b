import hashlib
import math
import os
import pathlib

import numpy as np
import pytest

from shieldwall.contract.privacy import PrivacyMode, Spend
from shieldwall.contract.records import Outcome, RoundRecord
from shieldwall.runtime.checkpoint import CheckpointStore, OvertakenError, StoreCorruptError, read_latest
from shieldwall.runtime.head import read_head, write_head
from shieldwall.runtime.model import Model


def model(round_):
    return Model.of(
        {
            "layer.0/weight": np.full((2, 3), round_, np.float32),
            "file": np.full(4, round_, np.float64),
            "steps": np.array(round_, np.int64),
            "half": np.full(2, round_, np.float16),
        }
    )


def record(round_, outcome=Outcome.RELEASED, **fields):
    return RoundRecord(
        run_id="18446744073709551615",
        round=round_,
        attempt=1,
        outcome=outcome,
        opened=1.5,
        seconds=2.25,
        rule="FedMedian",
        admitted=5,
        byzantine=1,
        replies=(),
        **fields,
    )


def spend(round_, attempt=1):
    return Spend(
        run_id="1",
        round=round_,
        attempt=attempt,
        mode=PrivacyMode.CLIENT_LEVEL_CENTRAL,
        noise_multiplier=3.5,
        releases=1,
        clients=("a", "b"),
        clip=1.0,
    )


def filled(directory, rounds, keep=3):
    store = CheckpointStore(directory, keep)
    for round_ in range(1, rounds + 1):
        store.save(model(round_), record(round_))
    return store


def files(directory):
    return sorted(path.name for path in directory.iterdir())


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_an_empty_store_has_no_release(tmp_path):
    assert CheckpointStore(tmp_path / "deep" / "model").latest() is None
    assert read_latest(tmp_path) is None


def test_what_was_saved_is_there_for_the_next_process(tmp_path):
    saved = filled(tmp_path, 2).latest()
    found = CheckpointStore(tmp_path).latest()
    assert found.round == saved.round == 2
    assert found.model.schema == model(2).schema
    assert found.model.sha256 == model(2).sha256
    assert found.records == saved.records
    assert [r.round for r in found.records] == [1, 2]
    assert found.lost == ()


def test_the_record_names_the_digest_of_the_checkpoint_file(tmp_path):
    release = filled(tmp_path, 1).latest()
    digest = hashlib.sha256((tmp_path / "round-1.npz").read_bytes()).hexdigest()
    assert digest == release.sha256 == release.records[-1].model_sha256


def test_the_same_model_gives_the_same_file(tmp_path):
    first, second = (filled(tmp_path / name, 1).latest().sha256 for name in "ab")
    assert first == second


def test_people_read_the_newest_model_with_numpy_alone(tmp_path):
    filled(tmp_path, 3)
    with np.load(tmp_path / "model.npz", allow_pickle=False) as archive:
        assert archive.files == ["layer.0/weight", "file", "steps", "half"]
        assert archive["layer.0/weight"].tolist() == [[3, 3, 3], [3, 3, 3]]
        assert (archive["steps"].shape, archive["steps"].dtype) == ((), np.int64)


def test_the_newest_is_kept_and_as_many_before_it_as_asked(tmp_path):
    filled(tmp_path, 6)
    assert files(tmp_path) == [
        "head",
        "ledger.jsonl",
        "model.npz",
        "round-3.npz",
        "round-4.npz",
        "round-5.npz",
        "round-6.npz",
    ]
    assert files(filled(tmp_path / "one", 3, keep=0)._directory) == [
        "head",
        "ledger.jsonl",
        "model.npz",
        "round-3.npz",
    ]


def test_without_hard_links_the_stable_name_is_a_copy(tmp_path, monkeypatch):
    def link(*_):
        raise PermissionError("no hard links here")

    monkeypatch.setattr(os, "link", link)
    filled(tmp_path, 2)
    assert (tmp_path / "model.npz").read_bytes() == (tmp_path / "round-2.npz").read_bytes()


def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(tmp_path):
    filled(tmp_path, 3)
    damage(tmp_path / "round-3.npz")
    (tmp_path / "round-2.npz").unlink()
    release = CheckpointStore(tmp_path).latest()
    assert release.round == 1
    assert release.model.sha256 == model(1).sha256
    assert [(lost.round, lost.file) for lost in release.lost] == [(3, "round-3.npz"), (2, "round-2.npz")]
    assert "SHA-256" in release.lost[0].reason
    assert [r.round for r in release.records] == [1, 2, 3]  # released once, and accounted for ever


def test_after_a_fallback_training_goes_on_from_the_older_round(tmp_path):
    filled(tmp_path, 3)
    damage(tmp_path / "round-3.npz")
    store = CheckpointStore(tmp_path)
    store.save(model(3), record(3))
    store.save(model(4), record(4))
    release = CheckpointStore(tmp_path).latest()
    assert (release.round, release.lost) == (4, ())
    assert [r.round for r in release.records] == [1, 2, 3, 3, 4]


def test_when_no_checkpoint_can_be_read_training_does_not_start_over(tmp_path):
    filled(tmp_path, 2)
    for path in tmp_path.glob("round-*.npz"):
        damage(path)
    with pytest.raises(StoreCorruptError, match="no checkpoint can be read"):
        CheckpointStore(tmp_path)


@pytest.mark.parametrize("name", ["ledger.jsonl", "privacy.jsonl", "head"])
def test_a_change_of_any_byte_of_ledger_or_head_is_never_passed_over(tmp_path, name):
    filled(tmp_path, 2)
    CheckpointStore(tmp_path).spend(spend(3))
    path = tmp_path / name
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(StoreCorruptError) as refusal:
            read_latest(tmp_path)
        assert refusal.value.path == path


def test_what_a_broken_attempt_left_in_the_ledger_is_gone_after_the_next(tmp_path):
    filled(tmp_path, 1)
    with (tmp_path / "ledger.jsonl").open("ab") as ledger:
        ledger.write(b"half a record " * 1000)
    CheckpointStore(tmp_path).save(model(2), record(2))
    lines = (tmp_path / "ledger.jsonl").read_text().splitlines()
    assert [RoundRecord.model_validate_json(line).round for line in lines] == [1, 2]


def test_files_of_another_version_are_refused_and_not_guessed_at(tmp_path):
    filled(tmp_path, 1)
    text = (tmp_path / "head").read_bytes().partition(b" ")[2].replace(b'"version":1', b'"version":2').rstrip()
    (tmp_path / "head").write_bytes(hashlib.sha256(text).hexdigest().encode() + b" " + text)
    with pytest.raises(StoreCorruptError, match="not a head of this version"):
        CheckpointStore(tmp_path)


@pytest.mark.parametrize("name", ["ledger.jsonl", "privacy.jsonl"])
@pytest.mark.parametrize("left", [0, 1])
def test_a_ledger_cut_short_is_corrupt(tmp_path, name, left):
    store = filled(tmp_path, 2)
    for round_ in (3, 4):
        store.spend(spend(round_))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(b"".join(content.splitlines(keepends=True)[:left]))
    with pytest.raises(StoreCorruptError, match=name):
        CheckpointStore(tmp_path)


def test_a_ledger_that_is_gone_is_corrupt(tmp_path):
    CheckpointStore(tmp_path).spend(spend(1))
    (tmp_path / "privacy.jsonl").unlink()
    with pytest.raises(StoreCorruptError, match="not the one that was committed"):
        CheckpointStore(tmp_path)


@pytest.mark.parametrize("name", ["ledger.jsonl", "privacy.jsonl"])
def test_a_head_that_is_gone_from_ledgers_with_lines_forgets_nothing(tmp_path, name):
    store = CheckpointStore(tmp_path)
    for round_ in (1, 2):
        store.spend(spend(round_)) if name == "privacy.jsonl" else store.save(model(round_), record(round_))
    (tmp_path / "head").unlink()
    with pytest.raises(StoreCorruptError, match="it is missing"):
        CheckpointStore(tmp_path)


def test_what_was_spent_counts_whether_something_was_released_or_not(tmp_path):
    store = CheckpointStore(tmp_path)
    store.spend(spend(1))
    store.spend(spend(1, attempt=2))
    store.save(model(1), record(1))
    store.spend(spend(2))
    store.note(record(2, Outcome.REPEATED))
    store.note(record(2, Outcome.REPEATED))
    again = CheckpointStore(tmp_path)

    assert again.spends == store.spends == (spend(1), spend(1, attempt=2), spend(2))
    assert (again.latest().round, len(again.records)) == (1, 3)


def test_a_spend_that_never_counted_is_gone_after_the_next(tmp_path):
    store = CheckpointStore(tmp_path)
    store.spend(spend(1))
    with (tmp_path / "privacy.jsonl").open("a") as ledger:
        ledger.write(spend(2).model_dump_json() + "\n")
    assert CheckpointStore(tmp_path).spends == (spend(1),)
    CheckpointStore(tmp_path).spend(spend(3))
    assert CheckpointStore(tmp_path).spends == (spend(1), spend(3))


def test_a_store_from_before_there_was_privacy_is_read(tmp_path):
    filled(tmp_path, 2)
    text = (tmp_path / "head").read_bytes().partition(b" ")[2].rstrip()
    older = text.replace(b'"privacy_bytes":0,"privacy_chain":"",', b"")
    assert older != text
    (tmp_path / "head").write_bytes(hashlib.sha256(older).hexdigest().encode() + b" " + older + b"\n")
    store = CheckpointStore(tmp_path)

    assert (store.latest().round, store.spends) == (2, ())
    store.spend(spend(3))
    store.save(model(3), record(3))
    assert CheckpointStore(tmp_path).spends == (spend(3),)


def test_a_pickle_in_a_checkpoint_is_not_loaded(tmp_path):
    filled(tmp_path, 2)
    evil = tmp_path / "round-2.npz"
    np.savez(evil, w=np.array([{"run": "me"}], dtype=object), allow_pickle=True)
    head = read_head(tmp_path)
    forged = head.releases[1].model_copy(update={"sha256": hashlib.sha256(evil.read_bytes()).hexdigest()})
    write_head(tmp_path, head.model_copy(update={"releases": (head.releases[0], forged)}))
    release = CheckpointStore(tmp_path).latest()
    assert release.round == 1
    assert "allow_pickle=False" in release.lost[0].reason


def test_attempts_without_a_release_are_recorded_too(tmp_path):
    store = CheckpointStore(tmp_path)
    store.note(record(1, Outcome.REPEATED))
    assert CheckpointStore(tmp_path).latest() is None
    assert [r.outcome for r in CheckpointStore(tmp_path).records] == [Outcome.REPEATED]
    store.save(model(1), record(1))
    store.note(record(2, Outcome.REPEATED))
    release = CheckpointStore(tmp_path).latest()
    assert (release.round, [r.round for r in release.records]) == (1, [1, 1, 2])


def test_rounds_go_forward_only(tmp_path):
    store = filled(tmp_path, 2)
    for wrong in (record(2), record(1), record(3, Outcome.REPEATED)):
        with pytest.raises(ValueError, match="cannot be released"):
            store.save(model(9), wrong)
    with pytest.raises(ValueError, match="was released"):
        store.note(record(3))
    assert CheckpointStore(tmp_path).latest().round == 2


def test_a_record_that_json_cannot_carry_is_refused_before_anything_counts(tmp_path):
    store = filled(tmp_path, 1)
    with pytest.raises(ValueError, match=r"does not survive JSON: metrics\.loss"):
        store.save(model(2), record(2, metrics={"loss": math.nan}))
    assert CheckpointStore(tmp_path).latest().round == 1


def test_a_process_that_was_overtaken_must_stop_and_harms_nothing(tmp_path):
    old = filled(tmp_path, 1)
    new = CheckpointStore(tmp_path)
    new.save(model(2), record(2))
    with pytest.raises(OvertakenError):
        old.save(model(99), record(2))
    with pytest.raises(OvertakenError):
        old.note(record(2, Outcome.REPEATED))
    with pytest.raises(OvertakenError):
        old.spend(spend(2))
    release = CheckpointStore(tmp_path).latest()
    assert (release.round, release.lost, release.model.sha256) == (2, (), model(2).sha256)


def test_a_reader_beside_the_writer_changes_nothing(tmp_path):
    filled(tmp_path, 2)
    (tmp_path / "round-3.npz.tmp").write_bytes(b"the writer is at it")
    before = files(tmp_path)
    assert read_latest(tmp_path).round == 2
    assert files(tmp_path) == before


def test_a_full_disk_leaves_the_old_release_standing(tmp_path, monkeypatch):
    store = filled(tmp_path, 1)

    def write(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "write", write)
        with pytest.raises(OSError, match="No space"):
            store.save(model(2), record(2))
    assert read_latest(tmp_path).round == 1
    store.save(model(2), record(2))
    assert CheckpointStore(tmp_path).latest().round == 2
    assert not list(pathlib.Path(tmp_path).glob("*.tmp"))
