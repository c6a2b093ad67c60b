"""Replies are pulled one by one: what is wrong with one never costs another."""

import threading
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import ConfirmMessageReceivedResponse, ObjectTree, PullObjectResponse
from flwr.proto.runtime_pb2 import PullAppMessagesResponse
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.task_identity import TaskIdentity

from shieldwall.runtime.flower.inbox import STALLED_SECONDS, Inbox

SECONDS = 20


class FakeRuntime:
    """The SuperLink's Runtime API: gives each reply once, and its objects as often as asked."""

    def __init__(self):
        self.waiting, self.objects, self.missing, self.confirmed, self.given = {}, {}, set(), [], []
        self.asked = threading.Event()

    def add(self, reply):
        question = reply.metadata.reply_to_message_id
        objects = get_all_nested_objects(reply)
        self.objects |= {object_id: item.deflate() for object_id, item in objects.items()}
        proto = message_to_proto(remove_content_from_message(reply))
        proto.metadata.message_id = reply.object_id
        self.waiting[question] = (proto, get_object_tree(reply))
        return list(objects)

    def PullMessages(self, request):  # noqa: N802  # Flower's name
        found = [self.waiting.pop(question) for question in request.message_ids if question in self.waiting]
        return PullAppMessagesResponse(
            messages_list=[proto for proto, _ in found], message_object_trees=[tree for _, tree in found]
        )

    def PullObject(self, request):  # noqa: N802  # Flower's name
        if request.object_id in self.missing:
            self.asked.set()
            return PullObjectResponse(object_found=True, object_available=False)
        self.given.append(request.object_id)
        return PullObjectResponse(
            object_found=True, object_available=True, object_content=self.objects[request.object_id]
        )

    def ConfirmMessageReceived(self, request):  # noqa: N802  # Flower's name
        self.confirmed.append(request.message_object_id)
        return ConfirmMessageReceivedResponse()


@pytest.fixture
def runtime():
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 7, 1, 1
    return FakeRuntime()


def inbox(runtime, model_bytes=1000, **more):
    grid = SimpleNamespace(_runtime_client=runtime, node=None, run=SimpleNamespace(run_id=7))
    return Inbox(grid, model_bytes, **more)


def reply(question, size=3):
    sent = Message(RecordDict(), 5, "train")
    sent.metadata.__dict__["_message_id"] = question
    arrays = ArrayRecord(array_dict={"w": Array(np.arange(size, dtype=np.float32))})
    return Message(RecordDict({"arrays": arrays}), reply_to=sent)


def collect(box, questions, count):
    found, waited = {}, threading.Event()
    for _ in range(SECONDS * 100):
        found |= {arrival.question: arrival for arrival in box.poll(q for q in questions if q not in found)}
        if len(found) >= count:
            return found
        waited.wait(0.01)
    raise AssertionError(f"only {found}")


def test_replies_arrive_once_each(runtime):
    for name in "abc":
        runtime.add(reply(name))
    with inbox(runtime) as box:
        found = collect(box, "abc", 3)
        assert all(arrival.message.content["arrays"]["w"].numpy()[2] == 2 for arrival in found.values())
        assert box.poll(["a"]) == []
    assert len(runtime.confirmed) == 3


def test_a_reply_that_cannot_be_inflated_costs_itself_alone(runtime):
    first, *_ = runtime.add(reply("bad", size=5))
    runtime.objects[first] = b"Array   not what it says"
    runtime.add(reply("good"))
    with inbox(runtime) as box:
        found = collect(box, ["bad", "good"], 2)
    assert found["good"].message is not None
    assert found["bad"].message is None
    assert "cannot be read" in found["bad"].problem


def test_a_reply_whose_objects_never_come_holds_nobody_up(runtime):
    runtime.missing.update(runtime.add(reply("announced", size=4)))
    runtime.add(reply("good"))
    with inbox(runtime) as box:
        found = collect(box, ["announced", "good"], 1)
        assert list(found) == ["good"]
        assert runtime.asked.wait(SECONDS)


def test_a_reply_of_which_nothing_comes_any_more_is_given_up(runtime):
    runtime.missing.update(runtime.add(reply("lost", size=4))[1:])
    now = [0.0]
    with inbox(runtime, monotonic=lambda: now[0]) as box:
        box.poll(["lost"])
        waited = threading.Event()
        while not runtime.given:
            waited.wait(0.01)
        runtime.asked.clear()
        assert runtime.asked.wait(SECONDS)  # another try: by now it is noted when the part came that there is
        now[0] = STALLED_SECONDS
        assert box.poll(["lost"]) == []
        now[0] += 1
        found = collect(box, ["lost"], 1)
    assert found["lost"].message is None
    assert found["lost"].lost
    assert "nothing of it came for 60 s" in found["lost"].problem


def test_a_reply_that_comes_slowly_is_waited_for(runtime):
    ids = runtime.add(reply("slow", size=4))
    runtime.missing.update(ids)
    now = [0.0]
    with inbox(runtime, monotonic=lambda: now[0]) as box:
        box.poll(["slow"])
        for position, object_id in enumerate(ids, 1):
            runtime.asked.clear()
            assert runtime.asked.wait(SECONDS) or position == len(ids)
            runtime.missing.discard(object_id)
            taken = threading.Event()
            for _ in range(SECONDS * 100):
                if object_id in runtime.given:
                    break
                taken.wait(0.01)
            now[0] += STALLED_SECONDS - 1
        assert collect(box, ["slow"], 1)["slow"].message is not None


def test_a_reply_larger_than_the_model_is_not_read_to_its_end(runtime):
    runtime.add(reply("large", size=2_000_000))
    with inbox(runtime) as box:
        found = collect(box, ["large"], 1)
    assert "larger than" in found["large"].problem


def test_a_tree_of_another_type_is_no_message(runtime):
    proto, _ = message_to_proto(reply("odd")), None
    record = ArrayRecord()
    runtime.objects[record.object_id] = record.deflate()
    proto.metadata.message_id = record.object_id
    runtime.waiting["odd"] = (proto, ObjectTree(object_id=record.object_id))
    with inbox(runtime) as box:
        found = collect(box, ["odd"], 1)
    assert found["odd"].message is None


def test_a_reply_that_answers_another_message_than_the_superlink_says_is_none(runtime):
    runtime.add(reply("mine"))
    runtime.waiting["yours"] = runtime.waiting.pop("mine")
    runtime.waiting["yours"][0].metadata.reply_to_message_id = "yours"
    with inbox(runtime) as box:
        found = collect(box, ["yours"], 1)
    assert found["yours"].message is None
    assert "another message" in found["yours"].problem


def test_a_lost_connection_while_pulling_is_told(runtime):
    def lost(request):
        raise httpx.ReadError("gone")

    runtime.add(reply("a"))
    runtime.PullObject = lost
    with inbox(runtime) as box:
        found = collect(box, ["a"], 1)
    assert "gone" in found["a"].problem
