"""The steward's API over real TLS."""

import asyncio
import dataclasses
import gzip
import json

import pytest
from pydantic import ValidationError

from shieldwall.contract import ports, routes
from shieldwall.contract.identity import Federation
from shieldwall.contract.records import ClientStatus, Denial, DenyList, Phase, StewardStatus
from shieldwall.control.api.rounds import MAX_CLIENTS
from shieldwall.control.steward import api as api_module
from shieldwall.control.steward.api import AnswerTooLargeError, StewardUnreachableError, WrongServerError, steward_api
from shieldwall.control.steward.credentials import Credentials, tls_context
from shieldwall.runtime.steward.gate import Reason
from shieldwall.runtime.steward.handshakes import parse_handshakes


@pytest.fixture
def context(site):
    return tls_context(site.credentials())


async def test_status_records_and_the_servers_serial_are_read(make, site, context, listening):
    listening.tells(make.status(records=1), make.record(1))
    async with steward_api(site.where, context) as api:
        assert await api.status() == make.status(records=1)
        assert await api.rounds(0) == [make.record(1)]
        assert api.server_serial == make.serial_of(listening.credentials)
        with pytest.raises(StewardUnreachableError, match="404"):
            await api.rounds(7)
    assert listening.connections == 1


async def test_the_deny_list_is_put(site, context, listening):
    listening.answers[routes.OPERATOR_DENY] = ""
    listening.status = 204
    denied = DenyList(clients=(site.federation.client("berlin").uri,), serials=("ab",))
    async with steward_api(site.where, context) as api:
        await api.deny(denied)
        listening.status = 503
        with pytest.raises(StewardUnreachableError, match="503"):
            await api.deny(denied)
    assert listening.asked == [f"PUT {routes.OPERATOR_DENY}"] * 2
    assert DenyList.model_validate_json(listening.bodies[0]) == denied


async def test_only_requests_that_were_not_carried_out_are_passed_on(make, site, context, listening):
    listening.answers[routes.OPERATOR_REINSTATE] = ""
    listening.status = 204
    known = tuple(ClientStatus(name=name) for name in ("berlin", "paris", "rome"))
    status = make.status(clients=known, reinstated={"berlin": "1", "paris": "1"})
    async with steward_api(site.where, context) as api:
        await api.fulfil({"berlin": "1", "gone": "1"}, status)
        assert listening.asked == []
        await api.fulfil({"berlin": "1", "paris": "2", "rome": "1"}, status)
    assert listening.asked == [f"PUT {routes.OPERATOR_REINSTATE}"]
    assert json.loads(listening.bodies[0]) == {"nonces": {"paris": "2", "rome": "1"}}


async def test_a_steward_that_is_away_is_told(site, context, steward, monkeypatch):
    async with steward.serving() as port:
        monkeypatch.setattr(ports, "STEWARD", port)  # free again
    async with steward_api(site.where, context) as api:
        with pytest.raises(StewardUnreachableError):
            await api.status()


async def test_an_answer_of_another_version_names_the_field(make, site, context, listening):
    text = make.status().model_dump_json().replace('"rounds":3', '"rounds":3,"tomorrow":1')
    listening.answers[routes.OPERATOR_STATUS] = text
    async with steward_api(site.where, context) as api:
        with pytest.raises(StewardUnreachableError, match="tomorrow"):
            await api.status()


async def test_a_server_of_another_training_is_refused(make, site, now, context, monkeypatch):
    """Its leaf is good, and of another issuing CA, under the same names."""
    foreign = make.Site.new(Federation("cluster.local", "fed", "other"), now)
    other = make.Steward(foreign.server())
    async with other.serving() as port, steward_api(site.where, context) as api:
        monkeypatch.setattr(ports, "STEWARD", port)
        with pytest.raises(StewardUnreachableError, match="certificate verify failed"):
            await api.status()


async def test_a_revoked_server_is_refused(make, site, listening):
    listening.tells(make.status())
    context = tls_context(site.credentials(revoked=(make.serial_of(listening.credentials),)))
    async with steward_api(site.where, context) as api:
        with pytest.raises(StewardUnreachableError, match="revoked"):
            await api.status()


async def test_another_name_is_refused(site, context, listening):
    async with steward_api(dataclasses.replace(site.where, server_name="other.fed.svc"), context) as api:
        with pytest.raises(StewardUnreachableError, match="Hostname mismatch"):
            await api.status()


async def test_an_identity_that_is_not_the_servers_is_refused(make, site, context, listening):
    listening.tells(make.status())
    wanted = dataclasses.replace(site.where, identity=site.federation.client("server"))
    async with steward_api(wanted, context) as api:
        with pytest.raises(WrongServerError) as caught:
            await api.status()
    assert caught.value.found == site.federation.server().uri


async def test_proxies_of_the_environment_are_not_used(make, site, context, listening, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    listening.tells(make.status())
    async with steward_api(site.where, context) as api:
        assert await api.status() == make.status()


def test_keys_are_not_shown(site):
    assert "PRIVATE KEY" not in repr(site.credentials())


def test_no_file_is_left_and_none_is_named(site, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    good = site.credentials()
    tls_context(good)
    with pytest.raises(OSError, match=r"(?i)mismatch"):
        tls_context(Credentials(good.chain, site.credentials().key, good.ca, good.crl))


async def test_a_packed_answer_is_not_unpacked(make, site, context, listening):
    """A few hundred kilobytes may hold gigabytes."""
    listening.answers[routes.OPERATOR_STATUS] = gzip.compress(make.status().model_dump_json().encode())
    listening.head = "content-encoding: gzip\r\n"
    async with steward_api(site.where, context) as api:
        with pytest.raises(StewardUnreachableError, match="packed: gzip"):
            await api.status()
    assert listening.accepted == ["identity"]


async def test_no_more_of_an_answer_is_read_than_any_steward_says(make, site, context, listening):
    told = make.status().model_dump_json()
    async with steward_api(site.where, context) as api:
        listening.answers[routes.OPERATOR_STATUS] = told.ljust(4 << 20)
        assert await api.status() == make.status()
        for size in ((4 << 20) + 1, 64 << 20):
            listening.answers[routes.OPERATOR_STATUS] = told.ljust(size)
            with pytest.raises(AnswerTooLargeError, match="4194304"):
                await api.status()


async def test_an_answer_that_comes_byte_by_byte_is_given_up(make, site, context, listening, monkeypatch):
    """Each read is quick, and there are more than anybody waits for."""
    monkeypatch.setattr(api_module, "_WHOLE_SECONDS", 0.3)
    listening.tells(make.status())
    listening.pause = 0.05
    async with asyncio.timeout(5), steward_api(site.where, context) as api:
        with pytest.raises(StewardUnreachableError, match="TimeoutError"):
            await api.status()


FEDERATION = Federation(f"{'a' * 63}.{'b' * 63}.{'c' * 63}", "n" * 63, "t" * 30)


def fullest():
    """A status with all that a steward may come to say in the largest training."""
    names = [f"{'c' * 21}{number:03}" for number in range(MAX_CLIENTS)]
    people = [*(FEDERATION.client(name).uri for name in names), "unknown"]
    counted = {"count": 2**52, "last": 1_790_000_000.123456}
    seen = {"serial": "f" * 40, "not_after": 253_402_300_799.0, "last_seen": 1_790_000_000.123456}
    return StewardStatus(
        phase=Phase.FAILED,
        message="m" * 100_000,
        run_id=str(2**64 - 1),
        runs_started=100_000,
        round=100_000,
        rounds=100_000,
        records=1_000_000,
        metrics={f"class-{number}": 0.123456789 for number in range(5000)} | {"accuracy": 0.5, "x" * 5000: 1.0},
        model_sha256="f" * 64,
        clients=tuple(
            ClientStatus(name=name, node_id=str(2**64 - 1), admitted=10**6, refused=10**6, **seen) for name in names
        ),
        denials=tuple(Denial(client=one, reason=why, **counted) for one in people for why in Reason),
        handshakes=dict.fromkeys(parse_handshakes(""), 2**52),
        aggregator_serial="f" * 40,
        aggregator_not_after=253_402_300_799.0,
        policy_sha256="f" * 64,
    )


async def test_the_most_that_a_steward_may_have_to_say_is_understood(site, context, listening):
    told = fullest()
    listening.tells(told)
    async with steward_api(site.where, context) as api:
        assert await api.status() == told
    assert len(told.clients) == MAX_CLIENTS
    assert told.metrics["accuracy"] == 0.5
    assert (len(told.metrics), len(told.message)) == (256, 1024)


def many(field, each, count):
    return f'"{field}":[{",".join([each] * count)}]'


@pytest.mark.parametrize(("old", "new", "place"), [
    ('"records":0', '"records":2147483648', "records"),
    ('"records":0', '"records":-1', "records"),
    ('"round":0', f'"round":1{"0" * 400}', "round"),
    ('"clients":[]', many("clients", '{"name":"c"}', 501), "clients"),
    ('"clients":[]', f'"clients":[{{"name":"{"c" * 65}"}}]', "clients.0.name"),
    ('"clients":[]', '"clients":[{"name":"c","not_after":1e300}]', "clients.0.not_after"),
    ('"clients":[]', '"clients":[{"name":"c","last_seen":NaN}]', "clients.0.last_seen"),
    ('"clients":[]', f'"clients":[{{"name":"c","serial":"{"f" * 65}"}}]', "clients.0.serial"),
    ('"denials":[]', many("denials", '{"client":"c","reason":"r","count":1,"last":1}', 8017), "denials"),
    ('"handshakes":{}', '"handshakes":' + json.dumps(dict.fromkeys(map(str, range(65)), 1)), "handshakes"),
    ('"run_id":"1"', f'"run_id":"{"1" * 21}"', "run_id"),
])  # fmt: skip
def test_more_than_any_steward_says_is_not_believed(make, old, new, place):
    text = make.status().model_dump_json()
    assert old in text
    with pytest.raises(ValidationError) as caught:
        StewardStatus.model_validate_json(text.replace(old, new))
    assert [".".join(map(str, error["loc"])) for error in caught.value.errors()] == [place]
