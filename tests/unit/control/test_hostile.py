"""Objects with our label that anybody may have made, as large and as costly to read as can be."""

import base64
import datetime as dt
import tracemalloc

import pytest

from shieldwall.contract.identity import Federation
from shieldwall.control.api.parse import parse_training
from shieldwall.control.cluster import live as live_module
from shieldwall.control.cluster.apply import require_ours
from shieldwall.control.cluster.claims import may_own
from shieldwall.control.cluster.errors import ForeignObjectError
from shieldwall.control.cluster.kinds import CONFIG_MAP, DEPLOYMENT, NETWORK_POLICY, SECRET, SERVICE, STATEFUL_SET
from shieldwall.control.cluster.listing import Lister
from shieldwall.control.cluster.live import live_of
from shieldwall.control.cluster.observe import workloads_of
from shieldwall.control.cluster.store import Store
from shieldwall.control.issuing import facts as facts_module
from shieldwall.control.issuing.contents import authority_files, certificate_files, node_key_files, root_files
from shieldwall.control.issuing.randomness import Randomness
from shieldwall.pki.authority import Authority
from shieldwall.pki.leaf import LeafRequest

from .conftest import NOW, body_of, replica, training_body

KEY = ("fed", "digits")
DAY = dt.timedelta(days=1)
MEGABYTE = 1_000_000


def owned(kind, name, owner="FederatedTraining", training="digits", **more):
    """An object that is said to belong to a training."""
    reference = {"apiVersion": "shieldwall.dev/v1alpha1", "kind": owner, "name": training, "uid": "uid-1"}
    metadata = {"ownerReferences": [reference | {"controller": True}]} | more.pop("metadata", {})
    return body_of(kind, name, 1, metadata=metadata, **more)


def encoded(files):
    return {name: base64.b64encode(content).decode() for name, content in files.items()}


@pytest.fixture(scope="module")
def everything():
    """The files of all purposes in one: of a CA, and apart those of a leaf."""
    random, federation = Randomness(), Federation("cluster.local", "fed", "digits")
    root = root_files("a root", NOW, random)
    ca = authority_files(Authority.from_pem(root["tls.crt"], root["tls.key"]), federation, DAY, NOW, random)
    issuer = Authority.from_pem(ca["tls.crt"], ca["tls.key"])
    leaf = certificate_files(issuer, LeafRequest(federation.client("c0"), (), DAY), NOW, random)
    common = node_key_files(random) | {"superexec": b"0f" * 32}
    return ca | common, leaf | common


def found(live):
    """Which facts a Secret was found to hold."""
    names = ("authority", "root", "leaf", "node_key", "shared_secret")
    return {name for name in names if getattr(live.secret, name)} if live.secret is not None else None


@pytest.mark.parametrize(("name", "facts"), [
    ("digits-ca", {"authority", "root"}),
    ("digits-server-tls", {"leaf"}),
    ("digits-aggregator-tls", {"leaf"}),
    ("digits-tls-c0", {"leaf"}),
    ("digits-node-c0", {"node_key"}),
    ("digits-superexec", {"shared_secret"}),
    ("digits-tls-", None),
    ("other-ca", None),
    ("digits", None),
])  # fmt: skip
def test_a_secret_is_read_for_what_its_name_says_and_for_nothing_else(everything, name, facts):
    """Any of these files anywhere, and yet only those of the purpose are looked at."""
    ca, leaf = everything
    seen = [found(live_of(SECRET, owned(SECRET, name, data=encoded(files)))) for files in (ca, leaf)]
    assert None not in seen or seen == [facts, facts]
    assert facts is None or seen[0] | seen[1] == facts


@pytest.mark.parametrize("stranger", [
    body_of(SECRET, "digits-ca", 1),
    owned(SECRET, "digits-ca", owner="Job"),
    owned(SECRET, "digits-ca", training="other"),
    owned(SECRET, "their-own"),
])  # fmt: skip
def test_the_secret_of_a_stranger_is_not_even_decoded(monkeypatch, stranger):
    monkeypatch.setattr(live_module, "secret_facts", lambda *_: pytest.fail("it was read"))
    live = Store().put(SECRET, stranger | {"data": {"tls.key": "AAAA"}})
    assert (live.name, live.training, live.secret) == (stranger["metadata"]["name"], "digits", None)


@pytest.mark.parametrize("entry", ["tls.crt", "tls.key", "ca.crt", "node.key"])
def test_an_entry_that_is_too_large_is_given_to_no_parser(monkeypatch, everything, entry):
    """Also where the bytes come from somewhere else than the store."""
    given = []

    def watched(parser):
        def parse(*texts):
            given.extend(len(text) for text in texts)
            return parser(*texts)

        return parse

    for name in ("certificates_from_pem", "private_key_from_pem", "node_key_from_openssh"):
        monkeypatch.setattr(facts_module, name, watched(getattr(facts_module, name)))
    monkeypatch.setattr(facts_module.Authority, "from_pem", watched(Authority.from_pem))
    for files in everything:
        large = {name: content + b"\n" * 16_384 * (name == entry) for name, content in files.items()}
        if entry in {"tls.crt", "tls.key"}:
            assert facts_module.authority_of(large) is None
        for read in (facts_module.root_of, facts_module.leaf_of, facts_module.node_key_of):
            read(large)
    assert given
    assert max(given) <= facts_module.LARGEST_ENTRY


def test_what_is_too_large_or_too_many_is_not_kept_until_the_list_is_complete():
    data = {f"k{number:03}": "A" * 40_000 for number in range(25)}
    kept = live_module.trimmed(SECRET, owned(SECRET, "digits-ca", data=data))
    assert len(str(kept)) < 2_000
    assert 0 < len(live_of(SECRET, kept).secret.keys) <= 16


@pytest.mark.parametrize("kind", [CONFIG_MAP, SERVICE, DEPLOYMENT, SECRET])
@pytest.mark.parametrize("owner", [None, "Job", "FederatedTraining"])
def test_of_what_no_training_may_own_hardly_more_than_the_name_is_kept(kind, owner):
    large = {"annotations": {"note": "x" * MEGABYTE}, "labels": {"shieldwall.dev/training": "digits", "more": "x"}}
    more = {"data": {"k": "x" * MEGABYTE}, "spec": {"replicas": 3, "x": "x" * MEGABYTE}, "status": {"readyReplicas": 3}}
    make = body_of(kind, "stray", 1, metadata=large, **more)
    if owner is not None:
        make = owned(kind, "stray", owner=owner, metadata=large, **more)
    live = live_of(kind, make)
    assert len(live.content) < 1_000
    assert not live.annotations
    assert (live.kind, live.namespace, live.name, live.uid, live.training) == (
        kind,
        "fed",
        "stray",
        "uid of stray",
        "digits",
    )


@pytest.mark.parametrize("kind", [CONFIG_MAP, STATEFUL_SET, SECRET])
def test_a_strangers_object_is_known_by_kind_and_name_and_called_foreign(kind):
    store = Store()
    store.put(kind, body_of(kind, "digits-server", 1, data={}, metadata={"annotations": {"a": "b"}}))
    with pytest.raises(ForeignObjectError):
        require_ours(store.owned(KEY)[kind.kind, "digits-server"], parse_training(training_body()))
    assert all(not each.current and each.ready == 0 for each in workloads_of(store.owned(KEY)).values())


async def test_what_the_operator_makes_itself_is_kept_as_a_whole(cluster):
    """Every object of a real pass: none of its names is missing among those that a training may own."""
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await parts.worker._lister.everything()
        await parts.reconciler.reconcile(KEY)
        mine = parts.store.owned(KEY)
        assert len(mine) > 20
        assert [name for name, live in mine.items() if not may_own("digits", live.kind, live.name)] == []
        assert all("app.kubernetes.io/part-of" in live.body()["metadata"]["labels"] for live in mine.values())


@pytest.mark.parametrize(("kind", "name"), [
    (CONFIG_MAP, "digits-server"),
    (DEPLOYMENT, "digits-client-"),
    (DEPLOYMENT, "digits-server"),
    (SERVICE, "digits"),
    (NETWORK_POLICY, "digits-x"),
    (STATEFUL_SET, "other-server"),
])  # fmt: skip
def test_a_training_may_own_no_other_name(kind, name):
    assert not may_own("digits", kind, name)


class Endless:
    """An API server with ``count`` objects of a megabyte each, a page of them at a time."""

    def __init__(self, kind, count):
        self.kind, self.count = kind, count

    async def list_pages(self, kind, namespace=None, selector=None):
        metadata = {"resourceVersion": "9"}
        for number in range(self.count if kind is self.kind else 0):
            body = body_of(kind, f"stray-{number}", 1, data={"k": chr(65 + number % 26) * MEGABYTE})
            yield {"metadata": metadata, "items": [body]}
        yield {"metadata": metadata, "items": []}


@pytest.mark.parametrize("kind", [CONFIG_MAP, SECRET])
async def test_a_hundred_megabytes_of_strangers_are_listed_within_ten(kind):
    store = Store()
    lister = Lister(Endless(kind, 100), store, ())
    tracemalloc.start()
    try:
        await lister.everything()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(store.owned(KEY)) == 100
    assert peak < 10 * MEGABYTE


@pytest.mark.parametrize(("kind", "most"), [(CONFIG_MAP, 50), (SECRET, 50), (SERVICE, 500)])
async def test_pages_of_what_may_be_large_are_small(cluster, api, kind, most):
    asked = []

    async def note(request):
        asked.append(int(request.query["limit"]))

    cluster.faults[f"GET {kind.path('fed')}"] = [note]
    assert [page async for page in api.list_pages(kind, "fed")]
    assert len(asked) == 1
    assert asked[0] <= most
