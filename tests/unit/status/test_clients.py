import pytest

from shieldwall.contract.records import Fate
from shieldwall.control.status.sight import Trouble
from shieldwall.control.status.stalled import stalled_status
from shieldwall.control.status.summarise import summarise


def worst(world, replies=(), clients=None, **record):
    """What is said of site-0 to site-2; ``clients`` changes what the steward knows of site-0, site-1, ..."""
    training = world.training()
    observed = world.observed(training)
    known = [world.client(observed, f"site-{n}", **facts) for n, facts in enumerate(clients or ({}, {}, {}))]
    last = world.record(training, tuple(replies), **record)
    steward = world.steward(training, observed, last_round=last, status={"clients": tuple(known)})
    return summarise(world.sight(training, steward=steward)).clients


def test_clients_about_which_there_is_nothing_to_say_are_only_counted(world):
    clients = worst(world, [world.reply(f"site-{n}", cosine=0.9) for n in range(3)])
    assert (clients.ready, clients.total, clients.banned, clients.worst) == (3, 3, 0, ())


def test_the_worst_come_first(world):
    replies = [world.reply("site-0", cosine=-0.5), world.reply("site-1"), world.reply("site-2", fate=Fate.STALE)]
    clients = worst(world, replies, [{}, {"denied": True}, {"refused": 3}])
    assert [(each.name, each.state) for each in clients.worst] == [
        ("site-1", "banned"),
        ("site-2", "refused"),
        ("site-0", "outvoted"),
    ]
    assert clients.banned == 1


@pytest.mark.parametrize(
    ("reply", "client", "state"),
    [
        ({"fate": Fate.TAMPERED, "detail": "not what was signed"}, {}, "refused"),
        ({"fate": Fate.TAMPERED}, {"online": False}, "refused"),
        ({"selected": False}, {}, "outvoted"),
        ({"selected": True, "cosine": -0.5}, {}, None),
        ({"cosine": -0.5}, {}, "outvoted"),
        ({"fate": Fate.NO_REPLY}, {}, "absent"),
        ({"fate": Fate.CLIENT_ERROR}, {"online": False}, "offline"),
        ({}, {"online": False}, "offline"),
        ({}, {}, None),
    ],
)
def test_one_word_for_each(world, reply, client, state):
    found = worst(world, [world.reply("site-0", **reply)], [client, {}, {}]).worst
    assert [each.state for each in found] == ([state] if state else [])
    assert all(each.message for each in found)


def test_where_everybody_is_averaged_nobody_is_outvoted(world):
    assert worst(world, [world.reply("site-0", cosine=-0.5)], rule="ClippedMean").worst == ()


def test_clients_that_the_spec_no_longer_names_are_left_out(world):
    three = world.training()
    observed = world.observed(three)
    steward = world.steward(
        three, observed, status={"clients": (world.client(observed, "site-0").model_copy(update={"name": "gone"}),)}
    )
    assert summarise(world.sight(three, steward=steward)).clients.ready == 0


def test_who_was_kept_out_is_not_forgotten_while_the_steward_was_not_asked(world):
    training = world.training()
    observed = world.observed(training)
    known = tuple(world.client(observed, f"site-{n}", denied=n == 1) for n in range(3))
    last = world.record(training, (world.reply("site-2", fate=Fate.STALE),))
    steward = world.steward(training, observed, last_round=last, status={"clients": known})
    before = summarise(world.sight(training, steward=steward))
    after = summarise(world.sight(training, steward=None, previous=before)).clients
    assert (after.ready, after.total, after.banned, after.worst) == (0, 3, 1, before.clients.worst)
    assert [each.state for each in after.worst] == ["banned", "refused"]
    others = world.training(spec={"clients": [{"name": f"site-{n}"} for n in (0, 1, 3)]})
    fewer = summarise(world.sight(others, steward=None, previous=before)).clients
    assert [each.name for each in fewer.worst] == ["site-1"]
    unread = stalled_status(before, 2, Trouble("InvalidSpec", "No."), world.now).clients
    assert (unread.ready, unread.banned, unread.worst) == (0, 1, before.clients.worst)
