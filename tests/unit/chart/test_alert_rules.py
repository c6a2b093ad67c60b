"""Each alert fires when it should and stays quiet in a healthy world, as Prometheus itself computes it."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from harness.tools import binary
from ruamel.yaml import YAML

from shieldwall.control.metrics.phases import PHASES

pytestmark = pytest.mark.slow

FILE = Path(__file__).parents[3] / "charts" / "shieldwall" / "files" / "alerts.yaml"
ALERTS = [rule["alert"] for group in YAML(typ="safe").load(FILE)["groups"] for rule in group["rules"]]

HOURS = 4
STEPS = HOURS * 60
LEAF = '{namespace="fed",training="digits",subject="client/a"}'
CA = '{namespace="fed",training="digits",subject="issuer"}'
ROOT = '{job="op",namespace="fed",training="digits",subject="root"}'
OF = '{namespace="fed",training="digits"}'
REPAIRED = 'shieldwall_objects_repaired_total{job="op",instance="one",kind="ConfigMap"}'
LIMIT, SPENT, RESERVED = (
    f'shieldwall_privacy_budget_epsilon{{job="op",instance="one",namespace="fed",budget="patients",state="{state}"}}'
    for state in ("limit", "spent", "reserved")
)
ONE, TWO = '{job="op",instance="one"}', '{job="op",instance="two"}'
LEADER_ONE, LEADER_TWO = f"shieldwall_operator_leader{ONE}", f"shieldwall_operator_leader{TWO}"
DAY, HOUR = 86_400, 3_600


def still(value):
    return f"{value}+0x{STEPS}"


def rising(by, start=0):
    return f"{start}+{by}x{STEPS}"


def turning(before, after, hours=3.0):
    """``before`` until so many hours have passed, then ``after``."""
    steps = int(hours * 60)
    return f"{before}+0x{steps} {after}+0x{STEPS - steps - 1}"


def until(value, hours=3.0):
    """``value``, and then no sample."""
    steps = int(hours * 60)
    return f"{value}+0x{steps} stale _x{STEPS - steps - 2}"


def phases(*parts):
    """``parts``: phases, each but the last with the hour until which it holds."""
    ends = [*parts[1::2], HOURS]
    held = list(zip(parts[::2], ends, [0, *ends], strict=False))
    return {
        f'shieldwall_training_phase{{namespace="fed",training="digits",phase="{phase}"}}': " ".join(
            f"{int(each == phase)}+0x{int((end - start) * 60) - 1}" for each, end, start in held
        )
        for phase in PHASES
    }


# Four hours in, a leaf of 24 h that was issued at 0 is due at 16 h; a round takes six minutes, one of ten clients lies.
HEALTHY = {
    LEADER_ONE: still(1),
    LEADER_TWO: still(0),
    f"shieldwall_queue_depth{ONE}": still(0),
    f"shieldwall_queue_depth{TWO}": still(300),
    'shieldwall_reconcile_seconds_count{job="op",instance="one",outcome="ok"}': rising(10),
    'shieldwall_reconcile_seconds_count{job="op",instance="one",outcome="retry"}': rising(1),
    'shieldwall_api_requests_total{job="op",instance="one",verb="get",kind="Secret",code="200"}': rising(50),
    'shieldwall_api_requests_total{job="op",instance="one",verb="get",kind="Secret",code="403"}': still(3),
    f"shieldwall_certificate_renewal_timestamp_seconds{LEAF}": still(16 * HOUR),
    f"shieldwall_certificate_not_after_timestamp_seconds{LEAF}": still(DAY),
    f"shieldwall_certificate_renewal_timestamp_seconds{CA}": still(60 * DAY),
    f"shieldwall_certificate_not_after_timestamp_seconds{CA}": still(90 * DAY),
    f"shieldwall_certificate_not_after_timestamp_seconds{ROOT}": still(3652 * DAY),
    f"shieldwall_crl_next_update_timestamp_seconds{OF}": still(7 * DAY),
    **phases("Training"),
    f"shieldwall_training_stalled{OF}": still(0),
    f"shieldwall_training_score{OF}": still(50),
    f"shieldwall_training_round{OF}": f"0+0.1666666x{STEPS}",
    f"shieldwall_training_rounds{OF}": still(1000),
    f"shieldwall_training_clients_ready{OF}": still(10),
    f"shieldwall_training_clients_wanted{OF}": still(10),
    f"shieldwall_training_min_replies{OF}": still(8),
    f"shieldwall_training_clients_banned{OF}": still(0),
    f"shieldwall_training_epsilon_spent{OF}": turning(0.5, 0.9),
    f"shieldwall_training_epsilon_limit{OF}": still(1),
    f"shieldwall_training_privacy_rounds_left{OF}": still(1000),
    f"shieldwall_replies_refused_total{OF}": f"0+0.1666666x{STEPS}",
    'shieldwall_handshake_failures_total{namespace="fed",training="digits",listener="steward",cause="no-certificate"}':
        rising(2),
    REPAIRED: still(40),
    LIMIT: still(3),
    SPENT: still(1),
    RESERVED: still(1.3),
}  # fmt: skip

ROUND = f"shieldwall_training_round{OF}"
STALLED = f"shieldwall_training_stalled{OF}"
REFUSED = f"shieldwall_replies_refused_total{OF}"
RETRY = 'shieldwall_reconcile_seconds_count{job="op",instance="one",outcome="retry"}'
OK = 'shieldwall_reconcile_seconds_count{job="op",instance="one",outcome="ok"}'
GONE = dict.fromkeys(HEALTHY, None)
BELOW = {f"shieldwall_training_clients_ready{OF}": turning(10, 7)}
STOPPED = {ROUND: turning(8, 9, 1.5), REFUSED: turning(8, 9, 1.5)}
NEVER = {
    **phases("Starting"),
    ROUND: None,
    REFUSED: None,
    f"shieldwall_training_clients_ready{OF}": None,
}
DROP = {f"shieldwall_training_score{OF}": turning(50, 25)}
PRIVACY_ENDS = {f"shieldwall_training_privacy_rounds_left{OF}": still(3)}
LEAF_ENDS = {
    f"shieldwall_certificate_renewal_timestamp_seconds{LEAF}": still(1 * HOUR),
    f"shieldwall_certificate_not_after_timestamp_seconds{LEAF}": still(5 * HOUR),
}
CA_ENDS = {
    f"shieldwall_certificate_renewal_timestamp_seconds{CA}": still(-20 * DAY),
    f"shieldwall_certificate_not_after_timestamp_seconds{CA}": still(10 * DAY),
}
ROOT_ENDS = {f"shieldwall_certificate_not_after_timestamp_seconds{ROOT}": still(179 * DAY)}
LIST_ENDS = {f"shieldwall_crl_next_update_timestamp_seconds{OF}": still(1.6 * DAY)}
FAILED = phases("Training", 3, "Failed") | {STALLED: turning(0, 1)}

# (alert that must fire or "", what differs from the healthy world)
CASES = {
    "healthy": ("", {}),
    "no operator was ever seen": ("ShieldwallOperatorDown", GONE),
    "the operator went": (
        "ShieldwallOperatorDown",
        {LEADER_ONE: until(1), LEADER_TWO: until(0)},
    ),
    "one replica went": ("", {LEADER_TWO: until(0)}),
    "nobody leads": ("ShieldwallNoLeader", {LEADER_ONE: turning(1, 0)}),
    "two lead": ("ShieldwallTwoLeaders", {LEADER_TWO: turning(0, 1), f"shieldwall_queue_depth{TWO}": still(0)}),
    "the leader changes": (
        "",
        {
            LEADER_ONE: turning(1, 0),
            LEADER_TWO: turning(0, 1),
            f"shieldwall_queue_depth{TWO}": turning(300, 0),
        },
    ),
    "passes fail": ("ShieldwallReconcileErrors", {RETRY: rising(12)}),
    "all of a few passes fail": ("", {OK: still(9), RETRY: rising(0.2)}),
    "a client is banned": ("ShieldwallClientBanned", {f"shieldwall_training_clients_banned{OF}": turning(0, 1)}),
    "a client was banned when the training completed": (
        "",
        {f"shieldwall_training_clients_banned{OF}": turning(0, 1)} | phases("Completed"),
    ),
    "privacy is nearly spent": ("ShieldwallPrivacyNearlySpent", PRIVACY_ENDS),
    "privacy is nearly spent between runs": (
        "ShieldwallPrivacyNearlySpent",
        PRIVACY_ENDS | phases("WaitingForClients"),
    ),
    "not all rounds fit, and most of privacy is left": (
        "",
        PRIVACY_ENDS | {f"shieldwall_training_epsilon_spent{OF}": turning(0.5, 0.79)},
    ),
    "privacy is spent when the training completed": ("", PRIVACY_ENDS | phases("Training", 3, "Completed")),
    "the queue stands": (
        "ShieldwallQueueStuck",
        {f"shieldwall_queue_depth{ONE}": still(3), OK: still(9), RETRY: still(0)},
    ),
    "the queue stands from the first": (
        "ShieldwallQueueStuck",
        {f"shieldwall_queue_depth{ONE}": still(3), OK: None, RETRY: None},
    ),
    "the queue is long": ("", {f"shieldwall_queue_depth{ONE}": still(3)}),
    "a right is missing": (
        "ShieldwallApiForbidden",
        {'shieldwall_api_requests_total{job="op",instance="one",verb="get",kind="Secret",code="403"}': rising(1)},
    ),
    "a watch is refused": (
        "ShieldwallApiForbidden",
        {'shieldwall_api_requests_total{job="op",instance="one",verb="watch",kind="Secret",code="403"}': rising(4)},
    ),
    "somebody undoes a repair every ten minutes": ("ShieldwallRepairsRepeat", {REPAIRED: rising(0.1)}),
    "somebody undoes a repair every minute, and the leader changes": (
        "ShieldwallRepairsRepeat",
        {
            REPAIRED: until(40, 3.5),
            'shieldwall_objects_repaired_total{job="op",instance="two",kind="ConfigMap"}':
                f"_x{int(2.5 * 60)} 0+1x{STEPS}",
        },
    ),
    "somebody undid many things at once": ("", {REPAIRED: turning(40, 440, 3.6)}),
    "a repair an hour": ("", {REPAIRED: rising(1 / 60)}),
    "a renewal is late": (
        "ShieldwallCertificateRenewalOverdue",
        {f"shieldwall_certificate_renewal_timestamp_seconds{LEAF}": still(3 * HOUR)},
    ),
    "a renewal is late of a certificate that lives long": (
        "ShieldwallCertificateRenewalOverdue",
        {
            f"shieldwall_certificate_renewal_timestamp_seconds{LEAF}": still(3 * HOUR),
            f"shieldwall_certificate_not_after_timestamp_seconds{LEAF}": still(20 * DAY),
        },
    ),
    "a renewal is just due": ("", {f"shieldwall_certificate_renewal_timestamp_seconds{LEAF}": still(3.7 * HOUR)}),
    "a certificate is about to end": (
        "ShieldwallCertificateExpiring ShieldwallCertificateRenewalOverdue",
        LEAF_ENDS,
    ),
    "a certificate is about to end of a training whose phase is not known": (
        "ShieldwallCertificateExpiring ShieldwallCertificateRenewalOverdue",
        LEAF_ENDS | dict.fromkeys(phases("Training")),
    ),
    "a certificate is about to end of a suspended training": (
        "ShieldwallCertificateRenewalOverdue",
        LEAF_ENDS | phases("Suspended"),
    ),
    "a certificate is about to end of a completed training": (
        "ShieldwallCertificateRenewalOverdue",
        LEAF_ENDS | phases("Completed"),
    ),
    "a certificate is about to end of a failed training": (
        "ShieldwallCertificateRenewalOverdue ShieldwallTrainingFailed",
        LEAF_ENDS | FAILED,
    ),
    "the CA is about to end": ("ShieldwallIssuingCaNearEnd", CA_ENDS),
    "the CA is about to end of a suspended training": ("ShieldwallIssuingCaNearEnd", CA_ENDS | phases("Suspended")),
    "the CA is about to end of a completed training": ("", CA_ENDS | phases("Completed")),
    "the CA is about to end of a failed training": ("ShieldwallTrainingFailed", CA_ENDS | FAILED),
    "the CA is in its last third": (
        "",
        {
            f"shieldwall_certificate_renewal_timestamp_seconds{CA}": still(0),
            f"shieldwall_certificate_not_after_timestamp_seconds{CA}": still(30 * DAY),
        },
    ),
    "the root is about to end": ("ShieldwallRootCaNearEnd", ROOT_ENDS),
    "the root has half a year": ("", {f"shieldwall_certificate_not_after_timestamp_seconds{ROOT}": still(181 * DAY)}),
    "the root of one of two trainings is about to end": (
        "ShieldwallRootCaNearEnd",
        {
            f"shieldwall_certificate_not_after_timestamp_seconds{ROOT.replace('digits', 'older')}": still(30 * DAY),
        },
    ),
    "the root is about to end of a suspended training": ("ShieldwallRootCaNearEnd", ROOT_ENDS | phases("Suspended")),
    "the root is about to end of a completed training": ("", ROOT_ENDS | phases("Completed")),
    "the root is about to end of a failed training": ("ShieldwallTrainingFailed", ROOT_ENDS | FAILED),
    "the list is about to end": ("ShieldwallCrlNearNextUpdate", LIST_ENDS),
    "the list is about to end of a suspended training": ("", LIST_ENDS | phases("Suspended")),
    "the list is about to end of a completed training": ("", LIST_ENDS | phases("Completed")),
    "the list is about to end of a failed training": ("ShieldwallTrainingFailed", LIST_ENDS | FAILED),
    "a training is stalled": ("ShieldwallTrainingStalled", {STALLED: turning(0, 1)}),
    "a training cannot be read": ("ShieldwallTrainingStalled", {STALLED: turning(0, 1)} | phases("Invalid")),
    "a training failed": ("ShieldwallTrainingFailed", FAILED),
    "a steward is silent": ("ShieldwallStewardUnreachable", phases("Training", 3, "Unreachable")),
    "clients are missing": ("ShieldwallClientsBelowMinReplies", BELOW),
    "clients are awaited": ("ShieldwallClientsBelowMinReplies", BELOW | phases("WaitingForClients")),
    "clients are missing while the server starts": ("", BELOW | phases("Training", 3, "Starting")),
    "clients are missing of a suspended training": ("", BELOW | phases("Training", 3, "Suspended")),
    "clients are missing of a completed training": ("", BELOW | phases("Training", 3, "Completed")),
    "replies are refused": ("ShieldwallRepliesRefused", {REFUSED: rising(1)}),
    "replies are refused and no round is released": (
        "ShieldwallRepliesRefused",
        {REFUSED: rising(0.1), ROUND: turning(40, 41, 3.4)},
    ),
    "a budget is nearly spent": ("ShieldwallPrivacyBudgetNearlySpent", {SPENT: turning(1, 2.41), RESERVED: still(0)}),
    "a budget is nearly reserved": ("ShieldwallPrivacyBudgetNearlySpent", {RESERVED: turning(1.3, 1.41)}),
    "a budget is nearly spent, and the leader changes": (
        "ShieldwallPrivacyBudgetNearlySpent",
        {
            SPENT: until(1.2, 3.9),
            SPENT.replace("one", "two"): f"_x{int(3.9 * 60)} 1.2+0x{STEPS}",
        },
    ),
    "a budget was nearly reserved": ("", {RESERVED: turning(1.9, 1.3)}),
    "handshakes fail": (
        "ShieldwallHandshakeFailures",
        {
            'shieldwall_handshake_failures_total{namespace="fed",training="digits",listener="fleet",cause="untrusted"}':
                rising(60)
        },
    ),
    "the score drops": ("ShieldwallScoreDropped", DROP),
    "the score drops between runs": ("ShieldwallScoreDropped", DROP | phases("WaitingForClients")),
    "the score of a suspended training drops": ("", DROP | phases("Training", 3, "Suspended")),
    "the score of a completed training drops": ("", DROP | phases("Training", 3, "Completed")),
    "a training never starts": ("ShieldwallTrainingNotStarting", NEVER),
    "a training starts late": ("", NEVER | phases("Starting", 3.8, "Training")),
    "a training has not started for a while": ("", NEVER | phases("Suspended", 3.8, "Starting")),
    "rounds stand": ("ShieldwallRoundsNotAdvancing", STOPPED),
    "rounds stand while clients are awaited": ("ShieldwallRoundsNotAdvancing", STOPPED | phases("WaitingForClients")),
    "rounds stand since the server does not start": (
        "ShieldwallRoundsNotAdvancing",
        STOPPED | phases("Training", 1.6, "Starting"),
    ),
    "rounds stand, and nothing was seen of them for a while": (
        "ShieldwallRoundsNotAdvancing",
        STOPPED | phases("Training", 3, "Unreachable", 3.1, "Training"),
    ),
    "rounds stand and nothing is seen of them": (
        "ShieldwallStewardUnreachable",
        STOPPED | phases("Training", 3, "Unreachable"),
    ),
    "rounds stand of a training that was suspended": ("", STOPPED | phases("Suspended", 3.2, "Training")),
    "rounds stand of a training that was suspended for a while": (
        "",
        STOPPED | phases("Training", 2.5, "Suspended", 3.2, "Training"),
    ),
    "rounds stand of a completed training": ("", STOPPED | phases("Training", 1.6, "Completed")),
    "rounds stand of a completed training that goes on": ("", STOPPED | phases("Completed", 3.8, "Training")),
    "rounds stand of a training that had failed": ("", STOPPED | phases("Failed", 3.8, "Training")),
    "the leader changes while clients are missing": (
        "ShieldwallClientsBelowMinReplies",
        {
            f"shieldwall_training_clients_ready{OF}": None,
            'shieldwall_training_clients_ready{namespace="fed",training="digits",instance="one"}': until(7, 3.9),
            'shieldwall_training_clients_ready{namespace="fed",training="digits",instance="two"}':
                f"_x{int(3.9 * 60)} 7+0x{STEPS}",
        },
    ),
}  # fmt: skip


def test_every_alert_has_a_case():
    assert {alert for wanted, _ in CASES.values() for alert in wanted.split()} == set(ALERTS)


@pytest.mark.parametrize("case", CASES)
def test_exactly_what_should_fire_fires(tmp_path, case):
    wanted, differs = CASES[case]
    world = {name: values for name, values in (HEALTHY | differs).items() if values is not None}
    fired = 'group by (alertname) (ALERTS{alertstate="firing"})'
    samples = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in wanted.split()]
    test = {
        "rule_files": [str(FILE)],
        "evaluation_interval": "2m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in world.items()],
                "promql_expr_test": [{"expr": fired, "eval_time": f"{HOURS}h", "exp_samples": samples}],
            }
        ],
    }
    path = tmp_path / "test.json"
    path.write_text(json.dumps(test))
    answer = subprocess.run([binary("promtool"), "test", "rules", path], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, re.sub(r"\n{2,}", "\n", answer.stdout + answer.stderr)
