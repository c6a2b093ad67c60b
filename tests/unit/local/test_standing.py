import pytest

from shieldwall.contract.records import Fate
from shieldwall.local.standing import FATE_SENTENCES, Standing, standing_of


@pytest.mark.parametrize(
    ("more", "rule", "standing"),
    [
        ({"cosine": 0.8}, "FedTrimmedAvg", Standing.OK),
        ({"cosine": -0.8}, "FedTrimmedAvg", Standing.OUTVOTED),
        ({"cosine": -0.8}, "FedAvg", Standing.OK),  # an average counts liars too
        ({"cosine": 0.8, "selected": False}, "MultiKrum", Standing.OUTVOTED),
        ({"cosine": -0.8, "selected": True}, "Krum", Standing.OK),
        ({"fate": Fate.STALE}, "FedAvg", Standing.REJECTED),
        ({"fate": Fate.NO_REPLY}, "FedAvg", Standing.ABSENT),
        ({"fate": Fate.CLIENT_ERROR}, "FedAvg", Standing.ABSENT),
    ],
)
def test_a_reply_stands_by_its_fate_and_its_rule(make, more, rule, standing):
    assert standing_of(make.reply("x", **more), rule) is standing


def test_every_fate_has_a_sentence():
    assert set(FATE_SENTENCES) == set(Fate)
