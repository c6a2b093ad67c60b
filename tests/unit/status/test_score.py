import pytest

from shieldwall.contract.records import Fate
from shieldwall.control.status.score import CLAIMS
from shieldwall.control.status.summarise import summarise
from shieldwall.control.steward.sight import Probe

CERTIFICATE, SERVED, NETWORK, SIGNED = (
    "ClientCertificateRequired",
    "CertificatesServed",
    "NetworkPolicyEnforced",
    "UpdatesSigned",
)
RULE, THEOREM, POLICY = "RobustRuleRan", "TheoremHolds", "PolicyInForce"


def summary(world, training=None, **facts):
    training = training if training is not None else world.training()
    return summarise(world.sight(training, steward=world.steward(training, world.observed(training), **facts)))


def test_the_points_of_all_claims_are_a_hundred():
    assert sum(claim.points for claim in CLAIMS) == 100
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)


def test_without_privacy_seventy_five_points_can_be_reached_and_the_rest_says_why_not(world):
    security = summary(world, world.training(6)).security
    assert security.score == 75
    lost = [check for check in security.checks if check.state != "observed"]
    assert {check.state for check in lost} == {"failed"}
    assert sum(check.points for check in lost) == 25
    assert all("privacy.mode is None" in check.message for check in lost)


def test_nothing_is_taken_for_granted_before_the_steward_was_seen(world):
    security = summarise(world.sight(steward=None)).security
    assert security.score == 0
    assert {check.state for check in security.checks[:7]} == {"unknown"}


@pytest.mark.parametrize(
    ("facts", "name", "left"),
    [
        ({"without_certificate": Probe.ADMITTED}, CERTIFICATE, ("failed", 55)),
        ({"without_certificate": Probe.UNKNOWN}, CERTIFICATE, ("unknown", 55)),
        ({"closed_port": Probe.ADMITTED}, NETWORK, ("failed", 60)),
        ({"closed_port": Probe.UNKNOWN}, NETWORK, ("unknown", 60)),
        ({"status": {"policy_sha256": "00" * 32}}, POLICY, ("failed", 60)),
        ({"status": {"policy_sha256": None}}, POLICY, ("unknown", 60)),
        ({"status": {"aggregator_serial": None}}, SERVED, ("unknown", 60)),
        ({"last_round": None}, SIGNED, ("unknown", 25)),
        ({"last_round": None}, RULE, ("unknown", 25)),
        ({"last_round": None}, THEOREM, ("unknown", 25)),
    ],
)
def test_each_defence_that_was_not_seen_costs_its_points(world, check, facts, name, left):
    status = summary(world, **facts)
    assert (check(status, name).state, status.security.score) == left


def test_one_update_without_a_signature_costs_the_check(world, check):
    training = world.training()
    replies = (world.reply("site-0"), world.reply("site-1", serial=None), world.reply("site-2"))
    status = summary(world, training, last_round=world.record(training, replies))
    assert check(status, SIGNED).state == "failed"
    assert "site-1" in check(status, SIGNED).message


def test_a_refused_reply_needs_no_signature(world, check):
    training = world.training(4)
    replies = (*(world.reply(f"site-{n}") for n in range(3)), world.reply("site-3", fate=Fate.UNSIGNED))
    assert check(summary(world, training, last_round=world.record(training, replies)), SIGNED).state == "observed"


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"rule": "FedAvg"}, RULE),
        ({"rule": "FedMedian"}, RULE),
        ({"rule": "FedAvg"}, THEOREM),
        ({"byzantine": 0}, THEOREM),
        ({"byzantine": 2}, THEOREM),
        ({"admitted": 2}, THEOREM),
    ],
)
def test_the_rule_that_ran_is_held_against_the_spec(world, check, facts, name):
    training = world.training()
    assert check(summary(world, training, last_round=world.record(training, **facts)), name).state == "failed"


def test_a_record_that_claims_more_replies_than_it_names_is_not_believed(world, check):
    training = world.training()
    record = world.record(training, (world.reply("site-0"), world.reply("site-1")), admitted=3)
    assert check(summary(world, training, last_round=record), THEOREM).state == "failed"


def test_multi_krum_needs_replies_for_those_it_averages(world, check):
    spec = {"aggregation": {"rule": "MultiKrum", "byzantine": 1, "select": 6}, "rounds": {"count": 30, "minReplies": 7}}
    training = world.training(7, spec=spec)
    assert check(summary(world, training), THEOREM).state == "observed"
    six = world.record(training, tuple(world.reply(f"site-{number}") for number in range(6)))
    assert check(summary(world, training, last_round=six), THEOREM).state == "failed"


def test_fed_avg_has_no_point_for_robustness(world, check):
    training = world.training(spec={"aggregation": {"rule": "FedAvg", "insecure": True}})
    status = summary(world, training)
    assert [check(status, name).state for name in (RULE, THEOREM, POLICY)] == ["failed"] * 3
    assert status.security.score == 40


def test_a_rule_that_tolerates_no_liar_is_not_robust(world, check):
    training = world.training(spec={"aggregation": {"rule": "FedMedian", "byzantine": 0}})
    assert check(summary(world, training), THEOREM).state == "failed"


def test_a_clipped_mean_outvotes_nobody_and_is_not_taken_for_a_robust_rule(world, check):
    training = world.training(spec={"aggregation": {"rule": "ClippedMean", "maxNorm": 1.5}})
    found = check(summary(world, training), THEOREM)
    assert found.state == "failed"
    assert "outvotes no liar; those f may move each round's update by 1, whatever" in found.message
