"""What is kept of an object, and above all what is not."""

import base64
import gc
import json

import pytest

from shieldwall.control.cluster.kinds import CONFIG_MAP, SECRET
from shieldwall.control.cluster.live import live_of

from .conftest import SECRETS, body_of, replica, training_body

KEY = ("fed", "digits")


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def owner(kind="FederatedTraining", group="shieldwall.dev/v1alpha1", **more):
    return {"apiVersion": group, "kind": kind, "name": "digits", "uid": "uid-1"} | more


def ours_of(kind, name, **more):
    """An object that the training digits is said to own."""
    metadata = {"ownerReferences": [owner(controller=True)]} | more.pop("metadata", {})
    return body_of(kind, name, 1, metadata=metadata, **more)


def texts_of(root):
    """Every string and bytes that can be reached from ``root`` within our own objects."""
    seen, stack = set(), [root]
    while stack:
        each = stack.pop()
        if id(each) in seen or isinstance(each, type):
            continue
        seen.add(id(each))
        if isinstance(each, (str, bytes)):
            yield each if isinstance(each, bytes) else each.encode(errors="replace")
        stack += [
            held
            for held in gc.get_referents(each)
            if isinstance(held, (str, bytes, dict, list, tuple, set, frozenset))
            or type(held).__module__.startswith("shieldwall")
        ]


async def test_no_private_key_and_no_shared_secret_is_kept_anywhere(cluster):
    """A whole training's Secrets were made, read, listed and watched: none of their secrets is in memory."""
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await parts.worker._lister.everything()
        await parts.reconciler.reconcile(KEY)
        secrets = [body for path, body in cluster.objects.items() if path.startswith(SECRETS)]
        assert len(secrets) == 6, (cluster.requests, cluster.objects)
        for secret in secrets:  # and once more as a watch brings them, applied by hand with kubectl
            note = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"data": secret["data"]})}
            secret["metadata"]["annotations"] = note
            secret["metadata"]["resourceVersion"] = str(int(secret["metadata"]["resourceVersion"]) + 10_000)
            assert parts.store.put(SECRET, secret) is not None
        private = {
            value
            for secret in secrets
            for name, text in secret["data"].items()
            if not name.endswith((".crt", ".pub", ".crl"))
            for value in (text.encode(), base64.b64decode(text))
        }
        assert len(private) == 12, "the CA's, two pods' and a client's keys, its node key, the SuperExec's secret"
        kept = b"\n".join(texts_of(parts.store))
        assert b"BEGIN CERTIFICATE" in kept or b"digits-ca" in kept, "the search sees what is there"
        assert not [value for value in private if value in kept]
        kept = b"\n".join(texts_of(parts.reconciler))
        assert not [value for value in private if value in kept]


def test_a_secret_is_kept_without_its_data_whatever_it_holds():
    data = {"tls.key": encoded("-----BEGIN PRIVATE KEY-----"), "other": encoded("hidden"), "bad": "***", "empty": ""}
    live = live_of(SECRET, ours_of(SECRET, "digits-server-tls", data=data, type="Opaque"))
    assert live.secret.keys == {"tls.key", "other"}
    assert live.secret.leaf is None
    assert live.body()["type"] == "Opaque"
    assert "data" not in live.body()
    for text in data.values():
        assert not text or text not in repr(live)


def test_only_our_own_annotations_of_a_secret_are_kept():
    notes = {"kubectl.kubernetes.io/last-applied-configuration": "all of it", "shieldwall.dev/renewed-for": "1|"}
    body = ours_of(SECRET, "digits-ca", metadata={"annotations": notes})
    assert live_of(SECRET, body).annotations == {"shieldwall.dev/renewed-for": "1|"}
    body = ours_of(CONFIG_MAP, "digits-trust", metadata={"annotations": notes})
    assert live_of(CONFIG_MAP, body).annotations == notes


@pytest.mark.parametrize(("references", "ours"), [
    ([owner(controller=True)], True),
    ([owner(controller=True, group="shieldwall.dev/v2")], True),
    ([owner(controller=True, group="elsewhere.dev/v1")], False),
    ([owner(controller=True, kind="Job")], False),
    ([owner()], None),
    ([], None),
])  # fmt: skip
def test_the_controller_is_the_owner(references, ours):
    live = live_of(CONFIG_MAP, body_of(CONFIG_MAP, "c", 1, metadata={"ownerReferences": references}))
    assert (live.owner.ours if live.owner is not None else None) is ours


def field(manager, content, subresource=""):
    return {"manager": manager, "fieldsV1": {key: {} for key in content}, "subresource": subresource}


@pytest.mark.parametrize(("entry", "strangers"), [
    (field("shieldwall", ["f:spec"]), ()),
    (field("kubectl-edit", ["f:spec"]), ("kubectl-edit",)),
    (field("kubectl-edit", ["f:data", "f:metadata"]), ("kubectl-edit",)),
    (field("kubectl-label", ["f:metadata"]), ()),
    (field("kube-controller-manager", ["f:spec", "f:status"], "status"), ()),
    ({"manager": "odd"}, ()),
])  # fmt: skip
def test_who_else_owns_a_part_of_the_content_is_known(entry, strangers):
    body = ours_of(CONFIG_MAP, "digits-policy", metadata={"managedFields": [entry]})
    live = live_of(CONFIG_MAP, body)
    assert live.strangers == strangers
    assert "managedFields" not in live.body()["metadata"]


def test_two_sights_of_the_same_object_are_two():
    body = body_of(CONFIG_MAP, "c", 1)
    assert live_of(CONFIG_MAP, body) != live_of(CONFIG_MAP, body)
