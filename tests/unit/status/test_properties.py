import dataclasses
import datetime as dt
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shieldwall.contract.records import Fate, Phase
from shieldwall.control.plan.names import Names
from shieldwall.control.plan.orders import Observed
from shieldwall.control.status.previous import previous_status
from shieldwall.control.status.sight import Policy, Trouble, Workload
from shieldwall.control.status.summarise import summarise
from shieldwall.control.steward.sight import Probe

LIMIT = 20 * 1024
TEXTS = st.text(max_size=2000)
WORDS = st.from_regex(r"[A-Z][A-Za-z]{0,30}", fullmatch=True)
TROUBLES = st.none() | st.builds(Trouble, WORDS, TEXTS)
NUMBERS = st.integers(-(2**63), 2**63)
COUNTS = st.integers(0, 2**31 - 1)
HEX = st.none() | st.text("0123456789abcdef", max_size=64) | st.text(max_size=64)
FLOATS = st.none() | st.floats()


@st.composite
def clients_of(draw, world, observed, training):
    return tuple(
        world.client(
            observed,
            client.name,
            online=draw(st.booleans()),
            denied=draw(st.booleans()),
            admitted=draw(COUNTS),
            refused=draw(COUNTS),
            **draw(st.sampled_from([{}, {"serial": None}, {"serial": "ab"}])),
        )
        for client in training.spec.clients
        if draw(st.booleans())
    )


@st.composite
def records(draw, world, training):
    replies = tuple(
        world.reply(
            client.name,
            fate=draw(st.sampled_from(Fate)),
            detail=draw(TEXTS),
            cosine=draw(FLOATS),
            selected=draw(st.none() | st.booleans()),
        )
        for client in training.spec.clients
    )
    rule = draw(st.sampled_from(["FedAvg", "FedTrimmedAvg", "Krum", ""]))
    return world.record(
        training, replies, rule=rule, admitted=draw(NUMBERS), byzantine=draw(NUMBERS), round=draw(NUMBERS)
    )


@st.composite
def stewards(draw, world, training, observed):
    said = {
        "phase": draw(st.sampled_from(Phase)),
        "message": draw(TEXTS),
        "round": draw(COUNTS),
        "metrics": draw(st.dictionaries(st.just("accuracy"), st.floats())),
        "model_sha256": draw(HEX | st.just("cd" * 32)),
        "clients": draw(clients_of(world, observed, training)),
        "aggregator_serial": draw(st.none() | st.just("ab")),
        "policy_sha256": draw(HEX),
    }
    return world.steward(
        training,
        observed,
        last_round=draw(st.none() | records(world, training)),
        status=said,
        without_certificate=draw(st.sampled_from(Probe)),
        closed_port=draw(st.sampled_from(Probe)),
        reachable=draw(st.booleans()),
    )


@st.composite
def sights(draw, world):
    rule = draw(st.sampled_from([{}, {"aggregation": {"rule": "FedAvg", "insecure": True}}]))
    training = world.training(
        spec=rule | {"suspend": draw(st.booleans())},
        annotations=draw(st.sampled_from([{}, {"shieldwall.dev/paused": "true"}, {"renew.shieldwall.dev/all": "n"}])),
        generation=draw(st.integers(0, 2)),
    )
    full = world.observed(training)
    observed = draw(
        st.sampled_from(
            [full, Observed(), dataclasses.replace(full, leaves={}), dataclasses.replace(full, issuer=None)]
        )
    )
    workload = st.builds(Workload, st.integers(0, 1), st.integers(0, 1), current=st.booleans())
    workloads = world.workloads(training)
    for name in draw(st.sets(st.sampled_from(sorted(workloads)))):
        workloads[name] = draw(workload)
    return world.sight(
        training,
        now=world.now + draw(st.sampled_from([dt.timedelta(0), dt.timedelta(seconds=90), dt.timedelta(days=200)])),
        observed=observed,
        workloads=workloads,
        policies=draw(st.sampled_from([(), (Policy("open", None, ()),)])),
        steward=draw(st.none() | stewards(world, training, full)),
        trouble=draw(TROUBLES),
        retrying=draw(TROUBLES),
        previous=draw(st.none() | st.just(summarise(world.sight()))),
    )


slow = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@slow
@given(data=st.data())
def test_any_sight_has_a_status_that_is_its_own_fixpoint(data, world, dumped):
    sight = data.draw(sights(world))
    status = summarise(sight)
    document = dumped(status)
    assert summarise(sight) == status
    assert previous_status(json.loads(json.dumps(document, allow_nan=False))) == status
    assert summarise(dataclasses.replace(sight, previous=status)) == status
    assert len(json.dumps(document, ensure_ascii=False).encode()) <= LIMIT


@slow
@given(data=st.data())
def test_the_score_is_the_sum_of_what_was_observed(data, world):
    security = summarise(data.draw(sights(world))).security
    assert security.score == sum(check.points for check in security.checks if check.state == "observed")
    assert sum(check.points for check in security.checks) == 100
    assert all(check.message for check in security.checks)


@slow
@given(data=st.data())
def test_exactly_one_of_ready_working_and_stalled_holds(data, world, condition):
    sight = data.draw(sights(world))
    status = summarise(sight)
    ready, reconciling, stalled = (
        condition(status, name).status == "True" for name in ("Ready", "Reconciling", "Stalled")
    )
    assert not (stalled and (ready or reconciling))
    assert ready or reconciling or stalled or sight.training.paused
    assert not (ready and reconciling) or sight.retrying is not None


def test_a_hundred_idle_passes_change_nothing(world):
    training = world.training()
    first = status = summarise(world.sight(training))
    for number in range(1, 101):
        now = world.now + dt.timedelta(seconds=3 * number)
        steward = world.steward(training, world.observed(training), seen=now)
        status = summarise(world.sight(training, now=now, steward=steward, previous=status))
        assert status == first


def test_the_status_of_500_clients_at_their_worst_stays_small(world, dumped):
    training = world.training(500)
    observed = world.observed(training)
    long = "🛡" * 3000
    replies = tuple(world.reply(f"site-{n}", fate=Fate.TAMPERED, detail=long) for n in range(500))
    clients = tuple(
        world.client(observed, f"site-{n}", denied=n < 10, refused=2**31 - 1, admitted=2**31 - 1, serial="0")
        for n in range(500)
    )
    requests = {f"renew.shieldwall.dev/client.site-{n}": "n" * 64 for n in range(100)}
    training = world.training(500, annotations=requests)
    renewals = {Names("digits").client_tls(f"site-{n}"): f"|{'n' * 64}" for n in range(50)}
    sight = world.sight(
        training,
        observed=dataclasses.replace(observed, renewals=renewals),
        steward=world.steward(
            training,
            observed,
            last_round=world.record(training, replies),
            status={"clients": clients, "phase": Phase.FAILED, "message": long},
            server_serial="0",
        ),
        policies=tuple(Policy(f"{n:063}", None, ()) for n in range(200)),
    )
    status = summarise(sight)
    assert len(status.clients.worst) == len(status.pki.certificates) == 20
    assert len(status.pki.requests) == len(status.pki.pending) == 20
    assert len(json.dumps(dumped(status), ensure_ascii=False).encode()) <= LIMIT
