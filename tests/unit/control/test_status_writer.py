"""A status for a CRD that lacks some of its fields."""

from datetime import timedelta

import pytest

from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.cluster.status_writer import StatusWriter, undeclared, without

from .conftest import NOW

METADATA = {"namespace": "fed", "name": "digits", "uid": "uid-1"}
STATUS = {"phase": "Ready", "score": {"value": 7, "checks": [{"name": "a", "why": "b"}]}, "pki": {"rootSerial": "1"}}
KNOWN = {"phase": "Ready", "score": {"value": 7, "checks": [{"name": "a"}]}}
BEFORE = "failed to create typed patch object (fed/digits; shieldwall.dev/v1alpha1, Kind=FederatedTraining): "
SEVERAL = (
    BEFORE + "errors:\n  .status.pki: field not declared in schema\n"
    '  .status.score.checks[name="a.b"].why: field not declared in schema'
)


class Old:
    """An API server with an older CRD."""

    def __init__(self, *messages):
        self.messages = list(messages)
        self.written = []

    async def apply(self, kind, body, manager, *, subresource):
        assert subresource == "status"
        self.written.append(body["status"])
        if self.messages and (message := self.messages.pop(0)):
            raise ApiError(500, "InternalError", message)
        return body


@pytest.mark.parametrize(("message", "paths"), [
    (BEFORE + ".status.pki: field not declared in schema", {("pki",)}),
    (SEVERAL, {("pki",), ("score", "checks", "why")}),
    (BEFORE + ".status.worst[0].x[1].y: field not declared in schema", {("worst", "x", "y")}),
    (BEFORE + ".spec.pki: field not declared in schema", set()),
    (BEFORE + ".status.phase: expected string, got 7", set()),
    ("etcdserver: request timed out", set()),
])  # fmt: skip
def test_the_error_names_the_fields(message, paths):
    assert undeclared(message) == paths


def test_the_rest_is_kept_and_the_status_itself_is_not_touched():
    assert without(STATUS, undeclared(SEVERAL)) == KNOWN
    assert STATUS["pki"] == {"rootSerial": "1"}
    assert without(STATUS, frozenset()) == STATUS


async def test_what_the_crd_lacks_is_left_out_and_said_once(caplog):
    api = Old(SEVERAL)
    writer = StatusWriter(api)
    for _ in range(3):
        assert (await writer.write(METADATA, STATUS, NOW))["status"] == KNOWN
    assert api.written == [STATUS, KNOWN, KNOWN, KNOWN]
    assert writer.writable(STATUS, NOW) == KNOWN
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "without pki, score.checks.why." in caplog.text


async def test_fields_that_are_named_one_after_another_are_all_left_out():
    *_, first, second = SEVERAL.splitlines()
    api = Old(BEFORE + first.strip(), BEFORE + second.strip())
    assert (await StatusWriter(api).write(METADATA, STATUS, NOW))["status"] == KNOWN
    assert len(api.written) == 3


async def test_a_crd_that_was_brought_up_to_date_is_noticed():
    api = Old(SEVERAL)
    writer = StatusWriter(api)
    await writer.write(METADATA, STATUS, NOW)
    later = NOW + timedelta(minutes=10)
    assert writer.writable(STATUS, later) == STATUS
    assert (await writer.write(METADATA, STATUS, later))["status"] == STATUS


@pytest.mark.parametrize("messages", [["etcdserver: request timed out"], [SEVERAL, SEVERAL]])
async def test_another_error_stays_one(messages):
    with pytest.raises(ApiError):
        await StatusWriter(Old(*messages)).write(METADATA, STATUS, NOW)
