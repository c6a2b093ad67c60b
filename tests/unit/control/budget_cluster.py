"""A cluster with the budget ``patients``, and what is asked of it in few words."""

import copy

from shieldwall.control.cluster.kinds import BUDGET

from .conftest import TRAININGS, body_of, training_body

BUDGETS = "/apis/shieldwall.dev/v1alpha1/namespaces/fed/privacybudgets"
PATIENTS = f"{BUDGETS}/patients"
PUT = f"PUT {PATIENTS}/status"
SETS = "/apis/apps/v1/namespaces/fed/statefulsets"
KEY = ("fed", "patients")
SPEC = {"epsilon": 3.0, "delta": 0.1, "unit": "Record", "data": ["c0", "c1"], "period": {"name": "spring"}}
PRIVACY = {"epsilon": 1.0, "delta": 1e-5, "clip": 1.0, "budgetRef": "patients"}
STEPS = {"mode": "RecordLevel", "records": 140, "batchSize": 32, "steps": 5}


def put_budget(cluster, *, spec=SPEC, **more):
    metadata = {"generation": 1, **more.pop("metadata", {})}
    body = body_of(BUDGET, "patients", 7, training=None, uid="uid-pb", metadata=metadata, spec=spec, **more)
    del body["metadata"]["resourceVersion"]
    cluster.put(body)


def put_training(cluster, name="digits", spec=None, **privacy):
    body = training_body(name=name, uid=f"uid of {name}")
    body["spec"] |= {"privacy": PRIVACY | ({} if "mode" in privacy else STEPS) | privacy} | (spec or {})
    cluster.put(body)


def change(cluster, name="digits", *, privacy=None, **spec):
    """A person changes the spec."""
    path = f"{TRAININGS}/{name}"
    body = copy.deepcopy(cluster.objects[path])
    body["spec"] |= spec
    body["spec"]["privacy"] |= privacy or {}
    body["metadata"]["generation"] += 1
    del body["metadata"]["resourceVersion"]
    cluster.put(body)


async def reconciled(parts, *names):
    await parts.worker._lister.everything()
    return [await parts.reconciler.reconcile(("fed", name)) for name in names or ("digits",)]


async def kept(parts):
    await parts.worker._lister.everything()
    return await parts.keeper.reconcile(KEY)


def status(cluster):
    return cluster.objects[PATIENTS]["status"]


def shares(cluster):
    return {
        share["name"]: (share["state"], share["reserved"]["epsilon"], share["spent"]["epsilon"])
        for share in status(cluster)["trainings"]
    }


def condition(cluster, name="digits", kind="Stalled"):
    found = cluster.objects[f"{TRAININGS}/{name}"]["status"]["conditions"]
    return next(each for each in found if each["type"] == kind)


def running(cluster, *names):
    return {name for name in names or ("digits",) if f"{SETS}/{name}-server" in cluster.objects}


def events(cluster):
    return [body for path, body in cluster.objects.items() if "/events/" in path]
