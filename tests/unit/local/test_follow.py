from shieldwall.contract.records import ClientStatus, Outcome, Phase
from shieldwall.control.steward.api import StewardUnreachableError
from shieldwall.local import events
from shieldwall.local.cluster.pods import Bell, Pod
from shieldwall.local.cluster.supervisor import ContainerState
from shieldwall.local.follow import Follower, is_over, is_registered
from shieldwall.local.notebook import Notebook, Subject

SUBJECT = Subject("digits", "label", True, ("berlin",), {}, "FedTrimmedAvg", 1, "")


class Steward:
    """Answers as it is told; fails when it has nothing to say."""

    def __init__(self, *statuses, records=()):
        self.statuses = list(statuses)
        self.records = list(records)
        self.asked = []
        self.wanted = []

    async def fulfil(self, wanted, status):
        self.wanted.append((dict(wanted), status.round))

    async def status(self):
        if not self.statuses:
            raise StewardUnreachableError("away")
        return self.statuses.pop(0)

    async def rounds(self, after):
        self.asked.append(after)
        return self.records[after : after + 2]


async def test_every_record_is_told_once_and_before_the_status_that_counts_it(make):
    records = [make.record(number, make.reply("berlin")) for number in (1, 2, 3)]
    statuses = [make.status(records=1, round=1), make.status(records=3, round=3), make.status(records=3, round=3)]
    heard, rings = [], []
    notebook = Notebook(SUBJECT, 0.0)
    follower = Follower(notebook, heard.append, lambda: rings.append(1))
    steward = Steward(*statuses, records=records)
    for _ in range(3):
        await follower.look(steward)
    assert [event.record.round if isinstance(event, events.RoundClosed) else "status" for event in heard] == [
        1,
        2,
        "status",
        3,
        "status",
    ]
    assert notebook.records == records
    assert len(rings) == 3
    assert "first_round" in notebook.marks


async def test_a_steward_that_is_away_is_asked_again(make):
    heard = []
    follower = Follower(Notebook(SUBJECT, 0.0), heard.append, lambda: None)
    await follower.look(Steward())
    assert heard == []


async def test_clients_that_the_file_wants_back_are_asked_for_at_each_look(make):
    steward = Steward(make.status(round=1), make.status(round=2))
    follower = Follower(Notebook(SUBJECT, 0.0), lambda _: None, lambda: None, {"berlin": "1"})
    for _ in range(2):
        await follower.look(steward)
    assert steward.wanted == [({"berlin": "1"}, 1), ({"berlin": "1"}, 2)]


async def test_a_repeated_round_is_no_first_round(make):
    notebook = Notebook(SUBJECT, 0.0)
    follower = Follower(notebook, lambda _: None, lambda: None)
    await follower.look(Steward(make.status(records=1), records=[make.record(1, outcome=Outcome.REPEATED)]))
    assert "first_round" not in notebook.marks


def test_when_a_training_is_over_and_when_its_nodes_are_registered(make):
    assert [is_over(make.status(phase)) for phase in Phase] == [False, False, False, True, True]
    assert not is_over(None)
    known, unknown = ClientStatus(name="a", node_id="1"), ClientStatus(name="b")
    assert is_registered(make.status(clients=(known,)))
    assert not is_registered(make.status(clients=(known, unknown)))
    assert not is_registered(None)


async def test_each_end_of_a_container_is_told_once():
    class One:
        state = ContainerState("supernode", restarts=1, exits=[0])

    heard = []
    follower = Follower(Notebook(SUBJECT, 0.0), heard.append, lambda: None)
    pod = Pod("x", [], [One()], Bell())
    follower.report_exits([pod])
    follower.report_exits([pod])
    assert [(event.pod, event.container, event.code, event.restarts) for event in heard] == [("x", "supernode", 0, 1)]
