import dataclasses
import datetime as dt

import pytest

from shieldwall.contract.identity import Federation
from shieldwall.control.plan import PlanSettings, build_plan
from shieldwall.control.plan.orders import Observed

SETTINGS = PlanSettings()
HOUR = dt.timedelta(hours=1)


def reasons(plan):
    return {order.secret: order.reason for order in plan.certificates}


def test_the_first_plan_orders_every_key_and_certificate(new_training, now):
    plan = build_plan(new_training(), Observed(), SETTINGS, now)
    assert plan.authority.secret == "digits-ca"
    secrets = ["digits-server-tls", "digits-aggregator-tls", *(f"digits-tls-site-{n}" for n in range(3))]
    assert reasons(plan) == dict.fromkeys(secrets, "Missing")
    assert [(order.secret, order.client) for order in plan.node_keys] == [
        (f"digits-node-site-{n}", f"site-{n}") for n in range(3)
    ]
    assert [(order.secret, order.key) for order in plan.shared_secrets] == [("digits-superexec", "superexec")]
    assert not plan.complete


def test_each_leaf_has_the_identity_of_its_pod_and_only_the_server_has_names(new_training, now):
    orders = {order.secret: order for order in build_plan(new_training(), Observed(), SETTINGS, now).certificates}
    federation = Federation("cluster.local", "fed", "digits")
    assert orders["digits-server-tls"].identity == federation.server()
    assert orders["digits-server-tls"].dns_names[-1] == "digits-server.fed.svc.cluster.local"
    assert orders["digits-aggregator-tls"].identity == federation.aggregator()
    assert orders["digits-tls-site-1"].identity == federation.client("site-1")
    assert [order.dns_names for name, order in orders.items() if name != "digits-server-tls"] == [()] * 4
    assert {order.lifetime for order in orders.values()} == {24 * HOUR}


def test_filled_orders_are_not_given_again(new_training, shell, now):
    training = new_training()
    observed = shell.settle(training)
    for hours in (0, 1, 13):
        plan = build_plan(training, observed, SETTINGS, now + hours * HOUR)
        assert plan.complete, reasons(plan)


def test_leaves_are_renewed_after_two_thirds_of_their_life_less_a_jitter(new_training, shell, now):
    training = new_training(clients=20)
    observed = shell.settle(training)
    due = [len(reasons(build_plan(training, observed, SETTINGS, now + hours * HOUR))) for hours in range(25)]
    assert due[:13] == [0] * 13
    assert due[16:] == [22] * 9
    assert len(set(due)) > 2, "jitter spreads renewals"
    renewed = shell.fill(build_plan(training, observed, SETTINGS, now + 17 * HOUR), observed, now + 17 * HOUR)
    assert build_plan(training, renewed, SETTINGS, now + 17 * HOUR).complete


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"identity": {"certificateTTL": "2h"}}, "LifetimeChanged"),
        ({"identity": {"certificateTTL": "48h"}}, None),
    ],
)
def test_a_shorter_life_is_wanted_at_once_and_a_longer_one_can_wait(new_training, shell, now, change, reason):
    observed = shell.settle(new_training())
    found = reasons(build_plan(new_training(change), observed, SETTINGS, now))
    assert set(found.values()) == ({reason} if reason else set())


def test_leaves_of_another_issuer_are_issued_anew(new_training, shell, now):
    training = new_training()
    observed = dataclasses.replace(shell.settle(training), issuer=shell.new_issuer())
    assert set(reasons(build_plan(training, observed, SETTINGS, now)).values()) == {"IssuerChanged"}
    assert len(build_plan(training, observed, SETTINGS, now).certificates) == 5


def test_a_leaf_in_another_secrets_place_is_issued_anew(new_training, shell, now):
    training = new_training()
    observed = shell.settle(training)
    leaves = dict(observed.leaves)
    leaves["digits-tls-site-0"] = leaves["digits-tls-site-1"]
    swapped = dataclasses.replace(observed, leaves=leaves)
    assert reasons(build_plan(training, swapped, SETTINGS, now)) == {"digits-tls-site-0": "IdentityChanged"}


def test_a_server_under_another_domain_gets_a_leaf_with_its_names(new_training, shell, now):
    observed = shell.settle(new_training())
    found = reasons(build_plan(new_training(), observed, PlanSettings(cluster_domain="corp.example"), now))
    assert found == {"digits-server-tls": "NamesChanged"}


def test_an_issuer_that_ran_out_is_replaced_with_all_its_leaves(new_training, shell, now):
    training, late = new_training(), now + dt.timedelta(days=800)
    observed = shell.settle(training)
    plan = build_plan(training, observed, SETTINGS, late)
    assert plan.authority is not None
    assert reasons(plan) == dict.fromkeys(observed.leaves, "IssuerChanged")
    assert build_plan(training, shell.fill(plan, observed, late), SETTINGS, late).complete


def test_an_issuer_that_is_not_valid_yet_is_replaced(new_training, shell, now):
    observed = shell.settle(new_training())
    early = observed.issuer.not_valid_before_utc - dt.timedelta(seconds=1)
    assert build_plan(new_training(), observed, SETTINGS, early).authority is not None


def test_an_issuer_of_another_trust_domain_is_replaced(new_training, shell, now):
    observed = shell.settle(new_training())
    assert build_plan(new_training(), observed, PlanSettings(trust_domain="example.org"), now).authority is not None


def test_a_new_client_gets_its_keys_and_nobody_else_new_ones(new_training, shell, now):
    observed = shell.settle(new_training())
    plan = build_plan(new_training(clients=4), observed, SETTINGS, now)
    assert reasons(plan) == {"digits-tls-site-3": "Missing"}
    assert [order.client for order in plan.node_keys] == ["site-3"]
    assert plan.authority is None
    assert plan.shared_secrets == ()
