"""What leaves a client under the modes in which it adds the noise."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict

from shieldwall.contract.policy import RuntimePolicy
from shieldwall.contract.privacy import PRIVACY_KEY, PrivacyMode, PrivacyPolicy
from shieldwall.runtime.clientapp import SealingClientApp
from shieldwall.runtime.flower.messages import ROUND_KEY, RoundFacts
from shieldwall.runtime.flower.packing import pack
from shieldwall.runtime.model import model_sha256
from shieldwall.runtime.privacy import dp_sgd
from shieldwall.runtime.privacy.client import answer
from shieldwall.runtime.privacy.dp_sgd import DpSgdError, TooFewRecordsError
from shieldwall.runtime.privacy.errors import NotPrivateError

BASE = {"w": np.zeros(20_000, np.float32), "count": np.array(7)}
RECORD, LOCAL, CENTRAL = (
    PrivacyPolicy(mode=mode, epsilon=1, delta=1e-5, clip=2.0, noise_multiplier=0.5, batch_size=20, steps=3, records=100)
    for mode in PrivacyMode
)


def record(arrays):
    return ArrayRecord(array_dict={name: Array(array) for name, array in arrays.items()})


def question(kind="train", arrays=BASE, **config):
    return Message(RecordDict({"arrays": record(arrays), "config": ConfigRecord(config)}), 5, kind)


def app(act):
    """A user's app that answers with the arrays that ``act`` makes of the model's."""

    def call(message, _):
        arrays = act({name: array.numpy() for name, array in message.content["arrays"].items()})
        metrics = MetricRecord({"num-examples": 120, "train_loss": 0.25})
        secrets = ConfigRecord({"name": "patient 17"})
        return Message(RecordDict({"arrays": record(arrays), "metrics": metrics, "c": secrets}), reply_to=message)

    return call


def moved(by):
    return app(lambda arrays: {"w": arrays["w"] + np.float32(by), "count": np.array(arrays["count"] + 1)})


def trained(arrays):
    private = dp_sgd.current()
    for batch in private.batches(120):
        arrays["w"] = arrays["w"] - private.gradient(np.ones((len(batch), arrays["w"].size), np.float32))
    return arrays


def answered(user, policy, seed=1, message=None):
    return answer(user, message or question(), None, policy, np.random.default_rng(seed))


def arrays_of(reply):
    return {name: array.numpy() for name, array in reply.content["arrays"].items()}


@pytest.fixture(autouse=True)
def _task(world):
    """A message needs a task that it is of."""


def test_the_update_is_clipped_and_carries_the_noise_of_a_replaced_client():
    update = arrays_of(answered(moved(3.0), LOCAL))["w"]

    direction = 2.0 / np.sqrt(update.size)  # of the clipped update, in each coordinate
    assert update.mean() == pytest.approx(direction, abs=0.05)
    assert update.std() == pytest.approx(0.5 * 2 * 2.0, rel=0.03)


def test_two_answers_to_the_same_question_differ():
    system = [answer(moved(0.0), question(), None, LOCAL, np.random.default_rng()) for _ in range(2)]

    assert (arrays_of(system[0])["w"] != arrays_of(system[1])["w"]).all()


@pytest.mark.parametrize(("user", "policy"), [(moved(0.1), LOCAL), (app(trained), RECORD)])
def test_nothing_leaves_but_noised_arrays_the_number_of_examples_and_the_attestation(user, policy):
    reply = answered(user, policy)

    assert set(reply.content) == {"arrays", "metrics", PRIVACY_KEY}
    assert set(reply.content["metrics"]) == {"num-examples"}
    assert arrays_of(reply)["count"] == BASE["count"]
    assert reply.content[PRIVACY_KEY]["mode"] == policy.mode.value


def test_how_many_examples_a_client_has_is_its_own_when_all_of_it_is_hidden():
    assert answered(moved(0.1), LOCAL).content["metrics"]["num-examples"] == 1
    assert answered(app(trained), RECORD).content["metrics"]["num-examples"] == 120


def test_an_app_that_trains_by_dp_sgd_attests_its_steps():
    reply = answered(app(trained), RECORD)

    assert dict(reply.content[PRIVACY_KEY]) == {
        "mode": "RecordLevel", "noise-multiplier": 0.5, "clip": 2.0, "batch-size": 20, "records": 120, "steps": 3,
    }  # fmt: skip
    assert np.std(arrays_of(reply)["w"]) == pytest.approx(np.sqrt(3) * 0.5 * 2 * 2.0 / 20, rel=0.05)


def test_an_app_that_does_not_use_dp_sgd_gets_an_error_and_no_attestation():
    with pytest.raises(NotPrivateError, match="took no private step"):
        answered(moved(0.1), RECORD)


WEAKER = {"noise_multiplier": 0.0, "clip": 1e9, "batch_size": 60}


@pytest.mark.parametrize("name", WEAKER)
def test_an_app_changes_nothing_of_its_session(name):
    def quietly(arrays):
        setattr(dp_sgd.current(), name, WEAKER[name])
        return trained(arrays)

    with pytest.raises(NotPrivateError, match="this client's log says more"):
        answered(app(quietly), RECORD)


@pytest.mark.parametrize("name", WEAKER)
def test_a_session_that_was_not_the_policy_s_is_attested_as_it_was_and_does_not_leave(name):
    def by_force(arrays):
        object.__setattr__(dp_sgd.current(), name, WEAKER[name])
        return trained(arrays)

    with pytest.raises(NotPrivateError, match=r"other parameters than the policy's: the client attests"):
        answered(app(by_force), RECORD)


def test_a_client_with_too_few_records_does_not_train():
    def few(arrays):
        next(dp_sgd.current().batches(99))
        return arrays

    with pytest.raises(NotPrivateError, match=r"^this client has fewer records than spec\.privacy\.records; this"):
        answered(app(few), RECORD)


def test_what_a_message_says_changes_nothing_of_the_policy():
    told = {"noise-multiplier": 0.0, "clip": 1e9, "steps": 99, "batch-size": 1, "privacy": "None"}
    reply = answered(app(trained), RECORD, message=question(**told))

    assert reply.content[PRIVACY_KEY]["steps"] == 3
    assert reply.content[PRIVACY_KEY]["noise-multiplier"] == 0.5


@pytest.mark.parametrize("policy", [LOCAL, RECORD])
@pytest.mark.parametrize("kind", ["evaluate", "evaluate.train", "query"])
def test_clients_answer_to_nothing_but_train(policy, kind):
    with pytest.raises(NotPrivateError, match="answer to train only"):
        answered(moved(0.1), policy, message=question(kind))


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_an_update_that_is_not_finite_is_none_and_nobody_is_told(poison):
    update = arrays_of(answered(moved(poison), LOCAL))["w"]

    assert np.isfinite(update).all()
    assert update.mean() == pytest.approx(0, abs=0.05)


def test_arrays_that_are_not_the_model_s_do_not_leave():
    with pytest.raises(NotPrivateError, match="other arrays"):
        answered(app(lambda _: {"w": np.zeros(3, np.float32)}), LOCAL)


class Patient17Error(Exception):
    """Its name tells as much as its words would."""


class Patient17:
    """No reply at all."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("patient 17 has no age"), "the app failed"),
        (Patient17Error(), "the app failed"),
        (NotPrivateError("patient 17"), "the app failed"),
        (DpSgdError("patient 17"), "the app does not train as dp_sgd asks"),
        (TooFewRecordsError(17, 3), "this client has fewer records than spec.privacy.records"),
    ],
)
@pytest.mark.parametrize("policy", [LOCAL, RECORD])
def test_what_goes_wrong_in_an_app_is_told_in_our_words_and_whole_in_the_client_s_log(policy, error, told, caplog):
    def fail(_):
        raise error

    with pytest.raises(NotPrivateError) as found:
        answered(app(fail), policy)
    assert str(found.value) == f"{told}; this client's log says more"
    assert type(error).__name__ in caplog.text
    assert str(error) in caplog.text


@pytest.mark.parametrize(
    "answers",
    [
        lambda message: Message(Error(17, "patient 17 has no age"), reply_to=message),
        lambda _: Patient17(),
        lambda message: Message(RecordDict({f"{n}": record(BASE) for n in range(17)}), reply_to=message),
    ],
)
def test_a_reply_that_is_none_is_told_without_its_words_and_numbers(answers, caplog):
    with pytest.raises(NotPrivateError) as found:
        answered(lambda message, _: answers(message), LOCAL)
    assert str(found.value) == "the app failed; this client's log says more"
    assert "17" in caplog.text


@pytest.mark.parametrize(("act", "policy"), [(lambda arrays: arrays, LOCAL), (trained, RECORD)])
def test_nothing_that_an_app_chooses_but_its_arrays_leaves(act, policy):
    def chatty(message, context):
        reply = app(act)(message, context)
        told = {"patient 17": reply.content["arrays"], "metrics": MetricRecord({"num-examples": 17})}
        for metadata in (message.metadata, reply.metadata):
            metadata.ttl = 17.0
            metadata.message_type = "train.patient17"
            metadata.__dict__["_group_id"] = "patient 17"
        return Message(RecordDict(told), reply_to=message)

    asked = question()
    plain = Message(RecordDict(), reply_to=asked).metadata
    reply = answered(chatty, policy, message=asked)

    assert set(reply.content) == {"arrays", "metrics", PRIVACY_KEY}
    assert reply.content["metrics"]["num-examples"] == (1 if policy is LOCAL else 120)
    assert (reply.metadata.message_type, reply.metadata.group_id) == ("train", plain.group_id)
    assert reply.metadata.ttl == pytest.approx(plain.ttl, abs=60)


@pytest.mark.parametrize("policy", [None, CENTRAL])
def test_where_the_client_adds_no_noise_the_reply_is_the_app_s(policy):
    reply = answered(moved(0.5), policy)

    assert set(reply.content) == {"arrays", "metrics", "c"}
    assert (arrays_of(reply)["w"] == np.float32(0.5)).all()


def test_client_pods_are_told_of_privacy(world):
    policy = world.policy.model_copy(update={"privacy": RECORD})

    assert RuntimePolicy.from_json(policy.for_clients().to_json()).privacy == RECORD


@pytest.mark.parametrize(("user", "policy"), [(moved(0.1), LOCAL), (app(trained), RECORD)])
def test_the_seal_covers_what_was_attested_and_an_app_cannot_attest_itself(user, policy, monkeypatch):
    def forging(message, context):
        reply = user(message, context)
        reply.content[PRIVACY_KEY] = ConfigRecord({"mode": "None", "steps": 1})
        return reply

    sealed = []
    pod = SealingClientApp()
    pod.user, pod.privacy = forging, policy
    monkeypatch.setattr(pod, "seal", lambda reply, *_: sealed.append(dict(reply.content[PRIVACY_KEY])))
    message = question()
    message.content["arrays"] = pack(record(BASE))
    message.content[ROUND_KEY] = RoundFacts("u", "1", 1, 1, "ab" * 32, model_sha256(BASE)).to_record()
    pod(message, SimpleNamespace(node_id=5))

    assert (sealed[0]["mode"], sealed[0]["noise-multiplier"]) == (policy.mode.value, 0.5)
