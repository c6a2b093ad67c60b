"""Flower's answers and errors become ours."""

from __future__ import annotations

import hashlib

import httpx
import pytest
from flwr.proto.control_pb2 import (
    ListNodesResponse,
    ListRunsResponse,
    RegisterNodeRequest,
    RegisterNodeResponse,
    StartRunRequest,
    StartRunResponse,
    StopRunRequest,
    StopRunResponse,
)
from flwr.proto.node_pb2 import NodeInfo
from flwr.proto.run_pb2 import Run as ProtoRun
from flwr.proto.run_pb2 import RunStatus
from flwr.supercore.control import ControlHttpClient

from shieldwall.runtime.steward.flower import (
    Flower,
    Node,
    Run,
    RunStage,
    SuperLinkRefusedError,
    SuperLinkUnreachableError,
)


def scripted(answer):
    """Flower's real client over a transport that ``answer`` speaks for."""
    client = ControlHttpClient("https://127.0.0.1:1", verify=False)
    client._client.close()
    client._client = httpx.Client(transport=httpx.MockTransport(answer))
    return Flower(client)


def says(message, seen=None):
    def answer(request):
        if seen is not None:
            seen.append((request.url.path, request.content))
        return httpx.Response(200, content=message.SerializeToString())

    return scripted(answer)


async def test_nodes():
    infos = [
        NodeInfo(node_id=2**63 + 1, public_key=b"a", status="online"),
        NodeInfo(node_id=2, public_key=b"b", status="offline"),
        NodeInfo(node_id=3, public_key=b"c", status="registered"),
    ]
    flower = says(ListNodesResponse(nodes_info=infos))
    assert await flower.nodes() == (Node(2**63 + 1, b"a", True), Node(2, b"b", False), Node(3, b"c", False))
    flower.close()


async def test_register():
    seen = []
    flower = says(RegisterNodeResponse(node_id=5), seen)
    assert await flower.register(b"pem", "berlin") == 5
    ((path, content),) = seen
    assert path == "/v1/control/register-node"
    assert RegisterNodeRequest.FromString(content) == RegisterNodeRequest(public_key=b"pem", name="berlin")
    flower.close()


async def test_runs_newest_first():
    ended = RunStatus(status="finished", sub_status="failed", details="No heartbeat")
    newest = 2**64 - 1
    runs = {
        1: ProtoRun(run_id=1, pending_at="2026-01-01T00:00:00", status=ended),
        newest: ProtoRun(run_id=newest, pending_at="2026-01-02T00:00:00", status=RunStatus(status="running")),
    }
    flower = says(ListRunsResponse(run_dict=runs))
    assert await flower.runs() == (
        Run(str(newest), RunStage.RUNNING, "", ""),
        Run("1", RunStage.FINISHED, "failed", "No heartbeat"),
    )
    flower.close()


async def test_start_and_stop():
    seen = []
    flower = says(StartRunResponse(run_id=2**64 - 1), seen)
    assert await flower.start_run(b"fab") == str(2**64 - 1)
    request = StartRunRequest.FromString(seen[0][1])
    assert (request.fab.content, request.fab.hash_str) == (b"fab", hashlib.sha256(b"fab").hexdigest())
    flower.close()
    flower = says(StopRunResponse(success=True), seen)
    await flower.stop_run("7")
    assert StopRunRequest.FromString(seen[1][1]).run_id == 7
    flower.close()


async def test_no_run_is_a_refusal():
    flower = says(StartRunResponse())
    with pytest.raises(SuperLinkRefusedError):
        await flower.start_run(b"too large")
    flower.close()


async def test_its_refusal_carries_its_words():
    flower = scripted(lambda _: httpx.Response(409, text="public key already in use"))
    with pytest.raises(SuperLinkRefusedError) as caught:
        await flower.register(b"pem", "berlin")
    assert (caught.value.status, caught.value.detail) == (409, "public key already in use")
    flower.close()


async def test_its_silence_means_try_again():
    def timeout(request):
        raise httpx.ReadTimeout("too slow", request=request)

    for answer in (lambda _: httpx.Response(503), timeout):
        flower = scripted(answer)
        with pytest.raises(SuperLinkUnreachableError):
            await flower.nodes()
        flower.close()
