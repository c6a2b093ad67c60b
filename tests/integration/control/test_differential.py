"""A thousand generated trainings: the API server and our own reading of them say the same, and nothing crashes."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import re
from contextlib import suppress
from datetime import UTC, datetime

import httpx
import pytest
from harness.documents import every_path, put
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shieldwall.control.api.checked import checked_training
from shieldwall.control.api.parse import parse_training
from shieldwall.control.api.plain import show
from shieldwall.control.api.problems import InvalidTrainingError
from shieldwall.control.api.schema import structural
from shieldwall.control.api.spec import FederatedTrainingSpec

from .conftest import replica, training

pytestmark = pytest.mark.slow

# No null: the API server drops it before anybody sees it. No text that JSON or YAML cannot carry.
WORDS = (
    "", "1", "None", "true", "24h", "a:b", "x" * 300, "../etc", "FedAvg", "Krum", "MultiKrum", "1Gi", "1.5Gi", "0.5",
    "500m", "A", "-", "eu", "1h", "30d", "c0", "ümlaut", "a b", "Retain", "Delete", "RecordLevel", "Exists", "5e3",
)  # fmt: skip
TEXTS = st.sampled_from(WORDS)
SCALARS = st.one_of(
    TEXTS,
    st.booleans(),
    st.integers(-2, 20),
    st.sampled_from([10**6, 10**12, 2**31, 2**53, 2**63 - 1, 2**63, 10**19]),
    st.sampled_from([0.0, 0.1, 0.5, 0.49, 1.0, 1.5, -0.1, 1e9, 1e300]),
)
VALUES = st.one_of(
    SCALARS, SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(TEXTS.filter(bool), SCALARS, max_size=2)
)

RECONCILED = None if os.environ.get("SHIELDWALL_LONG") else 60
"""How many of the accepted; all of them take minutes, and then every run generates others."""
UNKNOWN = re.compile(r'unknown field "([^"]+)"')


PATHS = st.sampled_from(sorted(every_path(structural(FederatedTrainingSpec)), key=str))
ODD = st.dictionaries(
    st.sampled_from(["", "ü", "a\n", "a b=c", "a.b", "a", "partition-id", "$(X)", "k" * 65]),
    st.sampled_from([1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**19, 10**25, 1e19, 1e30, 0.5, "x", False]),
    max_size=3,
)
"""Keys that nothing but a text is asked of, and numbers that no 64 bits hold."""
PRIVACY = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(
            ["RecordLevel", "ClientLevelLocal", "ClientLevelCentral", "ClientLevelCentral", "None"]
        ),
        "epsilon": st.sampled_from([1, 8.0, 0.0001]),
        "delta": st.sampled_from([0.001, 0.2, 1]),
        "clip": st.sampled_from([1, 0.5, 1e5]),
    },
    optional={
        "noiseMultiplier": st.sampled_from([0.5, 60]),
        "records": st.integers(0, 12),
        "batchSize": st.integers(1, 12),
        "steps": st.integers(1, 3),
        "amplification": st.booleans(),
        "adaptiveClipping": st.sampled_from([{}, {"countNoise": 0.1}, {"countNoise": 0.6, "rate": 1}]),
        "acknowledge": st.sampled_from([[], ["LowSignalToNoise"], ["LowSignalToNoise", "LowSignalToNoise"], ["x"]]),
        "budgetRef": st.just("patients"),
    },
)
CENTRAL = {"mode": "ClientLevelCentral", "epsilon": 1, "delta": 0.01, "clip": 1}
FITTING = {
    ("privacy",): st.one_of(
        PRIVACY,
        st.just(CENTRAL),
        st.just(CENTRAL | {"amplification": True}),
        st.just(CENTRAL | {"mode": "ClientLevelLocal"}),
        st.just({"epsilon": 8, "delta": 0.001, "clip": 1, "records": 100, "batchSize": 10, "steps": 2}),
    ),
    ("aggregation", "rule"): st.sampled_from(
        ["FedAvg", "FedMedian", "FedTrimmedAvg", "Krum", "MultiKrum", "ClippedMean", "Bulyan", "CenteredClipping"]
    ),
    ("aggregation", "preAggregation"): st.sampled_from(["NearestNeighborMixing", "Bucketing"]),
    ("aggregation", "bucketSize"): st.integers(1, 4),
    ("aggregation", "byzantine"): st.integers(0, 4),
    ("aggregation", "beta"): st.sampled_from([0, 0.0, 0.1, 0.2, 0.4, 0.5, 1]),
    ("aggregation", "select"): st.integers(1, 8),
    ("aggregation", "maxNorm"): st.sampled_from([0.5, 1, 10.0]),
    ("rounds", "minReplies"): st.integers(1, 12),
    ("rounds", "onTooFewReplies"): st.sampled_from(["Repeat", "Skip", "Retry"]),
    ("rounds", "fractionTrain"): st.sampled_from([0.3, 0.5, 1, 1.0]),
    ("identity", "certificateTTL"): st.sampled_from(["1h", "59m", "60m", "720h", "721h", "24h"]),
    ("contribution", "policy"): st.sampled_from(["None", "Innovation", "MinCosine"]),
    ("contribution", "minCosine"): st.sampled_from([-1, -0.5, 0, 0.5, 1, 1.5]),
    ("contribution", "ban", "exempt"): st.lists(st.sampled_from(["c0", "c1", "B"]), max_size=3),
    ("validation", "policy"): st.sampled_from(["None", "Report", "Reject"]),
    ("validation", "duplicateCosine"): st.sampled_from([0, 0.5, 0.9995, 1, 1.0]),
    ("suspend",): st.booleans(),
    ("storage", "model"): st.sampled_from(["1Gi", "0", "2G", "1.5Gi", "1024Mi"]),
    ("clients", 0, "nodeConfig", "x"): st.sampled_from(
        [1, "a", True, 0.5, "it's", "a b", [], [1], {}, {"a": 1}, "x" * 257, "a\nb"]
    ),
    ("clients", 0, "resources", "requests", "cpu"): st.sampled_from(["500m", "0.5", "1", "2k"]),
    ("clients", 0, "resources", "limits", "memory"): st.sampled_from(["1Gi", "1024Mi", "1073741824"]),
    ("clients", 1, "name"): st.sampled_from(["c0", "other", "B", "a-b"]),
    ("app", "config", "lr"): st.sampled_from([0.1, 1, "x", True, [], [1], {}, {"a": 1}, "x" * 4097]),
    ("app", "config"): ODD,
    ("clients", 0, "nodeConfig"): ODD,
    ("clients", 0, "data", "persistentVolumeClaim", "claimName"): st.sampled_from(
        ["mine", "model-digits-aggregator-0", "state-digits-server-0", "model-x-server-1", "model-server-0", "A"]
    ),
    ("aggregatorTemplate", "nodeSelector", "disk"): st.sampled_from(["ssd", ""]),
}  # fmt: skip
CHANGES = st.one_of(
    st.tuples(PATHS, VALUES),
    *(st.tuples(st.just(path), values) for path, values in FITTING.items()),
)


def told(space, document):
    """What the API server says to ``kubectl apply --dry-run=server``: None, or its causes."""
    query = "?dryRun=All&fieldValidation=Strict"
    answer = None
    try:
        space.server.request("POST", space.path("federatedtrainings") + query, document)
    except httpx.HTTPStatusError as error:
        answer = error.response.json()
    assert answer is None or answer["code"] in {400, 422}, answer
    return answer


def blamed(answer):
    """The fields that the server finds fault with."""
    fields = set()
    for cause in answer.get("details", {}).get("causes", []):
        # Of two entries with the same name it blames the second, we blame its name.
        duplicate = cause["reason"] == "FieldValueDuplicate" and cause["field"].startswith("spec.clients[")
        fields.add(f"{cause['field']}.name" if duplicate else cause["field"])
    for field in UNKNOWN.findall(answer["message"]):  # when it cannot decode a document it gives no causes
        # A map where a text should be has fields that nobody knows; we blame the map. Such a name may hold dots.
        fields |= {field, field.rpartition(".")[0]}
        fields |= {field.removesuffix(f".{word}") for word in WORDS if word}
    return {normal(field) for field in fields}


def normal(field):
    """``spec.app.config["lr"]`` and ``spec.app.config[lr]`` as ``spec.app.config.lr``."""
    return re.sub(r"\[[\"']?([^\]\"']*)[\"']?\]", r".\1", field)


def shortened(field):
    """A long name as we tell it."""
    parent, _, name = field.rpartition(".")
    return normal(f"{parent}[{show(name)}]")


def secret(document):
    """Whether noise is calculated for clients that are drawn in secret, which takes seconds."""
    return (document["spec"].get("privacy") or {}).get("amplification") is True


def compared(space):
    """The accepted of a thousand generated trainings; the others were refused by both, for the same field."""
    accepted = []

    @given(changes=st.lists(CHANGES, min_size=0, max_size=3), clients=st.integers(1, 9))
    @settings(
        max_examples=1000, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck), derandomize=RECONCILED is not None,
    )  # fmt: skip
    def compare(changes, clients):
        document = training(space, clients=clients, aggregation={})
        for path, value in changes:
            put(document["spec"], path, copy.deepcopy(value))
        try:
            parse_training(document)
            problems = ()
        except InvalidTrainingError as error:
            problems = error.problems
        answer = told(space, document)
        spec = json.dumps(document["spec"])
        assert (answer is None) == (not problems), f"{spec}\nserver: {answer}\nours: {problems}"
        if answer is None:
            with suppress(InvalidTrainingError):  # what only the operator calculates
                if not secret(document):
                    checked_training(document)
                    accepted.append(document)
        else:
            ours = {normal(problem.field) for problem in problems}
            shared = {field for field in blamed(answer) if field in ours or shortened(field) in ours}
            assert shared, f"{spec}\nserver: {answer}\nours: {problems}"

    compare()
    return accepted


@pytest.mark.timeout(600 if RECONCILED else 3600)
async def test_what_one_refuses_the_other_refuses_and_the_rest_is_reconciled(space):
    accepted = await asyncio.to_thread(compared, space)
    specs = {json.dumps(each["spec"], sort_keys=True): each["spec"] for each in accepted}
    assert len(specs) > 100
    specs = dict(list(specs.items())[:RECONCILED])
    names = [f"t{index}" for index in range(len(specs))]
    for name, spec in zip(names, specs.values(), strict=True):
        await asyncio.to_thread(space.apply, training(space, name=name) | {"spec": spec})
    async with replica(space) as parts:
        assert await busy(parts, space, set(names)) == set()
    for name, found in space.all("federatedtrainings").items():
        stalled = next(each for each in found["status"]["conditions"] if each["type"] == "Stalled")
        assert (found["status"]["observedGeneration"], stalled["status"]) == (1, "False"), (name, stalled)
    made = space.all("statefulsets")
    assert set(made) == {f"{name}-{part}" for name in names for part in ("server", "aggregator")}


async def busy(parts, space, names, most=8):
    """Pass after pass for each training until one writes nothing for it; says which still write after ``most``."""
    for _ in range(most):
        await parts.worker._lister.everything()
        before = datetime.now(UTC)
        for name in sorted(names):
            await parts.reconciler.reconcile((space.name, name))
        await asyncio.sleep(0.05)
        written = {line.rsplit(" ", 1)[1] for line in await asyncio.to_thread(space.writes, before)}
        names = {name for name in names if any(each == name or each.startswith(f"{name}-") for each in written)}
        if not names:
            break
    return names
