from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shieldwall.contract.privacy import PrivacyMode, PrivacyPolicy
from shieldwall.runtime.privacy.attestation import attested, shortfall
from shieldwall.runtime.privacy.dp_sgd import DpSgd


def policy(mode):
    return PrivacyPolicy(
        mode=mode, epsilon=1, delta=1e-5, clip=2.0, noise_multiplier=5.0, batch_size=20, steps=10, records=100
    )


RECORD, LOCAL = policy(PrivacyMode.RECORD_LEVEL), policy(PrivacyMode.CLIENT_LEVEL_LOCAL)
GOOD = {"mode": "RecordLevel", "noise-multiplier": 5.0, "clip": 2.0, "batch-size": 20, "records": 100, "steps": 10}


def test_what_a_session_attests_is_enough():
    private = DpSgd(2.0, 5.0, 20, 100, 10)
    for batch in private.batches(150):
        private.gradient(np.zeros((len(batch), 1)))

    assert shortfall(attested(RECORD, private), RECORD) == ""
    assert attested(RECORD, private) == {**GOOD, "records": 150}
    assert shortfall(attested(LOCAL, None), LOCAL) == ""


def test_what_is_attested_is_what_the_session_used_and_not_what_the_policy_asks():
    private = DpSgd(1e9, 0.0, 21, 1, 11)
    private.gradient(np.zeros((len(next(private.batches(99))), 1)))

    weak = {"noise-multiplier": 0.0, "clip": 1e9, "batch-size": 21, "records": 99, "steps": 1}
    assert attested(RECORD, private) == {**GOOD, **weak}


def test_stronger_values_than_the_policy_s_are_enough():
    stronger = {**GOOD, "noise-multiplier": 6.0, "clip": 1.0, "batch-size": 19, "records": 200, "steps": 1}

    assert shortfall(stronger, RECORD) == ""


def test_a_client_with_more_records_may_draw_larger_batches_at_the_same_rate():
    assert shortfall({**GOOD, "records": 200, "batch-size": 40}, RECORD) == ""
    assert "larger share" in shortfall({**GOOD, "records": 200, "batch-size": 41}, RECORD)


@given(records=st.integers(1, 10_000), share=st.integers(1, 10_000), times=st.integers(1, 50))
@example(records=195, share=100, times=1)
@example(records=49, share=32, times=1)
@example(records=161, share=128, times=1)
def test_a_client_at_exactly_the_policy_s_rate_is_enough_and_one_record_more_is_not(records, share, times):
    batch = min(share, records)
    asked = RECORD.model_copy(update={"batch_size": batch, "records": records})
    honest = {**GOOD, "records": records * times, "batch-size": batch * times}

    assert shortfall(honest, asked) == ""
    assert "larger share" in shortfall({**honest, "batch-size": batch * times + 1}, asked)


@pytest.mark.parametrize(
    ("weaker", "told"),
    [
        ({"mode": "ClientLevelLocal"}, "another mode"),
        ({"mode": 1}, "another mode"),
        ({"noise-multiplier": 4.999}, "less noise than 5"),
        ({"noise-multiplier": math.nan}, "less noise"),
        ({"noise-multiplier": True}, "less noise"),
        ({"noise-multiplier": "5"}, "less noise"),
        ({"clip": 2.001}, "clip above 2"),
        ({"clip": -1.0}, "clip above 2"),
        ({"records": 99}, "fewer records than 100"),
        ({"steps": 0}, "no step, or more than 10"),
        ({"steps": 11}, "no step, or more than 10"),
        ({"batch-size": 21}, "larger share"),
        ({"batch-size": 0}, "larger share"),
        ({"batch-size": 19.5}, "larger share"),
        ({"batch-size": True}, "larger share"),
        ({"records": 100.0}, "fewer records than 100"),
        ({"steps": "10"}, "no step, or more than 10"),
    ],
)
def test_each_weaker_value_is_told(weaker, told):
    assert told in shortfall({**GOOD, **weaker}, RECORD)


@pytest.mark.parametrize("name", GOOD)
def test_each_value_has_to_be_there(name):
    assert shortfall({key: value for key, value in GOOD.items() if key != name}, RECORD)


def test_no_record_is_no_privacy_unless_the_server_adds_the_noise():
    assert shortfall(None, LOCAL) == "the reply attests no privacy"
    assert shortfall(None, policy(PrivacyMode.CLIENT_LEVEL_CENTRAL)) == ""
