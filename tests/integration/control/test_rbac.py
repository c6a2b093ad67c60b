"""The chart's rights are enough and no more: the operator works with them alone, and uses every one."""

from __future__ import annotations

import copy
import json
import re
import time
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from harness.apiserver import ApiServer
from harness.chart import grant, rendered
from harness.controller_manager import ControllerManager
from harness.crds import install_crds
from ruamel.yaml import YAML

from .conftest import BUDGET_CRD, CRD, Space, eventually, operator, training
from .test_budgets import ALONE, DRAWS, budget, shares
from .test_objects import OBJECTS

pytestmark = pytest.mark.slow

HOME = "shieldwall-system"
ACCOUNT = f"system:serviceaccount:{HOME}:sw-shieldwall"
# Asked for by the API server itself in the course of another request, so that no audit log shows them;
# test_each_right_that_no_audit_shows_is_asked_for does.
UNSEEN = {
    # By the admission plugin OwnerReferencesPermissionEnforcement, for each object that blocks its owner's deletion.
    ("shieldwall.dev", "federatedtrainings/finalizers", "update"),
    # For the server-side apply of what is not there yet, which is audited as a patch.
    *(
        (group, resource, "create")
        for group, resource in (
            ("", "configmaps"),
            ("", "services"),
            ("", "serviceaccounts"),
            ("apps", "statefulsets"),
            ("apps", "deployments"),
            ("networking.k8s.io", "networkpolicies"),
            ("policy", "poddisruptionbudgets"),
        )
    ),
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server of its own, which also asks who may block an owner's deletion."""
    plugins = "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement"
    with ApiServer(tmp_path_factory.mktemp("guarded") / "server", arguments=[plugins]) as server:
        install_crds(server, CRD, BUDGET_CRD)
        with ControllerManager(server):
            for namespace in (HOME, "fed"):
                server.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
                eventually(lambda n=namespace: server.request("GET", f"/api/v1/namespaces/{n}/serviceaccounts/default"))
            yield server


# As the operator's log quotes what it is told: a right by its verb and kind, and the admission plugin's own words.
REFUSED = re.compile(
    r'cannot (\w+) resource \\"([\w/]+)\\" in API group \\"([\w.]*)\\"'
    r"|cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on"
)


RBAC = "/apis/rbac.authorization.k8s.io/v1"


def withdraw(server, documents):
    """Take away what an installation with other values gave."""
    kept = {(document["kind"], document["metadata"]["name"]) for document in documents}
    for kind, scope in (
        ("ClusterRoleBinding", ""), ("ClusterRole", ""),
        *((kind, f"/namespaces/{namespace}") for kind in ("RoleBinding", "Role") for namespace in (HOME, "fed")),
    ):  # fmt: skip
        path = f"{RBAC}{scope}/{kind.lower()}s"
        for item in server.request("GET", path)["items"]:
            name = item["metadata"]["name"]
            if "sw-shieldwall" in name and (kind, name) not in kept:
                server.request("DELETE", f"{path}/{name}")


def install(server, documents):
    """What gives the operator its rights, and its configuration."""
    withdraw(server, documents)
    config = None
    for document in documents:
        kind, metadata = document["kind"], document["metadata"]
        grant(server, document)
        if kind == "ConfigMap" and "test" not in metadata["name"]:
            config = YAML(typ="safe").load(next(iter(document["data"].values())))
    return config


GRANTED = re.compile(r'of ((?:Cluster)?Role) "([^"]+)" to')


def granted(documents):
    """Every (kind and name of the role, group, resource, verb) of the operator's own roles."""
    rights = set()
    for document in documents:
        kind, name = document["kind"], document["metadata"]["name"]
        if kind not in {"Role", "ClusterRole"} or name.endswith(("-view", "-edit")):
            continue
        for rule in document["rules"]:
            rights |= {
                (f"{kind} {name}", group, resource, verb)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
            }
    return rights


def exercise(space, tmp_path, config, done):
    """Everything that an operator has to do in its life, and until it is ``done`` or has had its time."""
    began = datetime.now(UTC)
    space.apply(training(space, clients=4))
    pod = {
        "metadata": {
            "name": "a-client-pod",
            "labels": {
                "shieldwall.dev/training": "digits", "shieldwall.dev/client": "c0",
                "app.kubernetes.io/component": "client",
            },
        },
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }  # fmt: skip
    space.server.request("POST", space.path("pods"), pod)
    with operator(space, tmp_path / "op", config=config, kubeconfig=kubeconfig(space.server)):
        eventually(lambda: set(space.owned()) > OBJECTS, 40)
        space.apply(training(space, clients=3))
        eventually(lambda: set(space.owned()) == OBJECTS)
        for plural in ("configmaps", "services", "serviceaccounts", "networkpolicies", "poddisruptionbudgets",
                       "statefulsets", "deployments"):  # fmt: skip
            name = next(name for kind, name in sorted(OBJECTS) if kind == plural)
            annotations = {"metadata": {"labels": {"app.kubernetes.io/instance": "changed"}}}
            space.patch(plural, name, annotations)
            eventually(lambda p=plural, n=name: labels(space, p, n)["app.kubernetes.io/instance"] == "digits", 5)
            own(space, plural, name)
            eventually(lambda p=plural, n=name: not strangers(space.get(p, n)), 5)
            unlabelled = {"metadata": {"labels": {"shieldwall.dev/training": None}}}
            space.patch(plural, name, unlabelled)  # it has gone from every watch, and is looked for by name
            eventually(lambda p=plural, n=name: "shieldwall.dev/training" in labels(space, p, n), 5)
        space.patch("secrets", "digits-node-c0", {"metadata": {"labels": {"shieldwall.dev/training": None}}})
        eventually(lambda: "shieldwall.dev/training" in labels(space, "secrets", "digits-node-c0"), 5)
        ask = {"metadata": {"annotations": {"renew.shieldwall.dev/all": "now"}}}
        before = space.get("secrets", "digits-tls-c0")["data"]
        space.patch("federatedtrainings", "digits", ask)
        eventually(lambda: space.get("secrets", "digits-tls-c0")["data"] != before)
        eventually(
            lambda: "shieldwall.dev/nudge" in space.get("pods", "a-client-pod")["metadata"].get("annotations", {})
        )
        rename(space)
        spend(space, began)
        with suppress(AssertionError):  # what is left undone is named by the test
            eventually(done)


def spend(space, began):
    """A training draws on a budget and vanishes, while people change the budget faster than the operator can."""
    space.apply(budget(space, data=["c0"]))
    space.apply(training(space, clients=1, name="drawing", aggregation=ALONE, privacy=DRAWS))
    eventually(lambda: shares(space) == {"drawing": ("Settling", 1.0, 0.0)})
    space.delete("federatedtrainings", "drawing")
    eventually(lambda: shares(space) == {"drawing": ("Settled", 0.0, 1.0)})

    def overtaken():
        for _ in range(20):
            space.patch("privacybudgets", "patients", {"spec": {"purpose": f"purpose {time.monotonic_ns()}"}})
        return any(each.verb == "get" and each.resource == "privacybudgets"
                   for each in space.server.audit.requests(user=ACCOUNT, since=began))  # fmt: skip

    eventually(overtaken, 40)


def own(space, plural, name):
    """Somebody applies an exported copy, and owns every field of it too."""
    found = space.get(plural, name)
    copy = {
        key: found[key]
        for key in ("apiVersion", "kind", "spec", "data", "automountServiceAccountToken")
        if key in found
    }
    applied = space.server.request("PATCH", space.path(plural, name), copy | {"metadata": {"name": name}})
    assert strangers(applied), "by the answer: the operator may be as fast as another question"


def rename(space):
    """A training that goes, and takes one of each kind that is pruned with it, comes back under the same name."""
    for plural in ("configmaps", "services", "serviceaccounts", "networkpolicies", "poddisruptionbudgets",
                   "statefulsets"):  # fmt: skip
        kind_of = next(item for (kind, _), item in space.owned().items() if kind == plural)
        copy = json.loads(json.dumps(kind_of))
        for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            copy["metadata"].pop(field, None)
        copy["metadata"]["name"] = "digits-left-over"
        copy.pop("status", None)
        for field in ("clusterIP", "clusterIPs"):
            copy.get("spec", {}).pop(field, None)
        space.server.request("POST", space.path(plural), copy)
        eventually(lambda p=plural: space.find(p, "digits-left-over") is None, 10)


def labels(space, plural, name):
    return space.get(plural, name)["metadata"].get("labels", {})


def strangers(found):
    content = {"f:spec", "f:data", "f:automountServiceAccountToken"}
    return [
        entry["manager"]
        for entry in found["metadata"]["managedFields"]
        if not entry.get("subresource") and entry["manager"] != "shieldwall" and content & set(entry["fieldsV1"])
    ]


def kubeconfig(server):
    return server.kubeconfig_for_token(server.token(HOME, "sw-shieldwall"), "operator")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("options", [(), ("--set", "watchNamespaces={fed}")], ids=["all namespaces", "one namespace"])
def test_the_rights_are_enough_and_no_more(guarded, tmp_path, options):
    documents = rendered("sw", HOME, *options)
    config = install(guarded, documents) | {"metricsPort": 0, "relistSeconds": 3600}
    space = Space(guarded, "fed")
    guarded.request("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases")
    guarded.request("DELETE", f"/api/v1/namespaces/{HOME}/secrets")
    began = datetime.now(UTC)

    def unused():
        used = {
            (" ".join(role.groups()), each.group, f"{each.resource}/{each.subresource}".rstrip("/"), each.verb)
            for each in guarded.audit.requests(user=ACCOUNT, since=began)
            if (role := GRANTED.search(each.reason))
        }
        return {right for right in granted(documents) - used if right[1:] not in UNSEEN}

    try:
        exercise(space, tmp_path, config, lambda: not unused())
    finally:
        log = (tmp_path / "op" / "operator.log").read_text() if (tmp_path / "op").exists() else ""
        space.delete("federatedtrainings", "digits")
        if space.find("privacybudgets", "patients") is not None:
            space.delete("privacybudgets", "patients")
        space.server.request("DELETE", space.path("pods", "a-client-pod"), {"gracePeriodSeconds": 0})
        eventually(lambda: not space.owned(), 90)
    requests = guarded.audit.requests(user=ACCOUNT, since=began)
    refused = {(each.verb, each.group, each.resource, each.subresource) for each in requests if each.code == 403}
    assert refused == set(), log
    assert unused() == set()


def without(documents, rights):
    """The same roles, but for ``rights``; a rule for each right that is left of the rules they stood in."""
    taken = copy.deepcopy(documents)
    for document in taken:
        if document["kind"] in {"Role", "ClusterRole"}:
            document["rules"] = [
                {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                | ({"resourceNames": rule["resourceNames"]} if "resourceNames" in rule else {})
                for rule in document["rules"]
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
                if (group, resource, verb) not in rights
            ]
    return taken


def refusals(log):
    """The rights that refusals in the operator's log speak of."""
    return {
        (found[3], found[2], found[1]) if found[1] else ("shieldwall.dev", "federatedtrainings/finalizers", "update")
        for found in REFUSED.finditer(log)
    }


def asked(space, log):
    """The same after another pass, for which nobody waits."""
    again = {"metadata": {"annotations": {"example.com/again": str(time.monotonic_ns())}}}
    space.patch("federatedtrainings", "digits", again)
    return refusals(log.read_text())


@pytest.mark.timeout(120)
def test_each_right_that_no_audit_shows_is_asked_for(guarded, tmp_path):
    """The operator begins without them, and is given those that it is refused, until it has made everything."""
    documents = rendered("sw", HOME)
    config = install(guarded, without(documents, UNSEEN)) | {"metricsPort": 0, "relistSeconds": 3600}
    space, log, given = Space(guarded, "fed"), tmp_path / "op" / "operator.log", set()
    guarded.request("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases")
    space.apply(training(space))
    try:
        with operator(space, tmp_path / "op", config=config, kubeconfig=kubeconfig(guarded)):
            while set(space.owned()) != OBJECTS:
                eventually(lambda known=given: set(space.owned()) == OBJECTS or asked(space, log) - known)
                given = refusals(log.read_text())
                install(guarded, without(documents, UNSEEN - given))
        assert given == UNSEEN
    finally:
        install(guarded, documents)
        space.delete("federatedtrainings", "digits")
        eventually(lambda: not space.owned(), 90)
