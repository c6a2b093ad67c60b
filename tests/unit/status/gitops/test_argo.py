from pathlib import Path

import pytest
from lupa import lua51
from ruamel.yaml import YAML

ARGO = Path(__file__).parents[4] / "docs" / "argocd"
CHECK = (ARGO / "health.lua").read_text()
UNREACHABLE = (
    "The server's steward does not answer; if that lasts, look at the log of pod digits-server-0 and at network"
    " policies between it and the operator."
)


@pytest.fixture
def health():
    """Argo CD's way: Lua 5.1 without files, processes or modules; the object is the global obj."""

    def run(live):
        lua = lua51.LuaRuntime(register_eval=False, register_builtins=False)
        for name in ("io", "os", "package", "require", "dofile", "loadfile", "debug", "python"):
            lua.globals()[name] = None
        lua.globals()["obj"] = lua.table_from(live, recursive=True)
        answer = lua.execute(CHECK)
        return answer["status"], answer["message"]

    return run


@pytest.mark.parametrize(
    ("name", "word", "message"),
    [
        ("unseen", "Progressing", "The operator has not seen the training yet."),
        ("starting", "Progressing", "The training's issuing CA is being made."),
        (
            "waiting",
            "Progressing",
            "The next run needs 3 clients online; status.clients names who is not. Round 7 of 30 is released.",
        ),
        ("training", "Healthy", "Round 7 of 30 is released."),
        (
            "completed",
            "Healthy",
            "The training is complete; 7 rounds released. Its pods stay; spec.suspend: true stops them.",
        ),
        ("failed", "Degraded", "It ended badly. Look for the cause in the log of pod digits-aggregator-0."),
        (
            "unreachable",
            "Progressing",
            UNREACHABLE,
        ),
        ("foreign", "Degraded", "Service digits-server is not ours."),
        ("invalid", "Degraded", "The spec cannot be acted on until this is corrected: spec.rounds is missing."),
        ("retrying", "Progressing", "Conflict."),
        ("changed", "Progressing", "The operator has not seen the last change of the spec yet."),
        ("corrected", "Progressing", "The operator has not seen the last change of the spec yet."),
        ("rolling", "Progressing", "Pods are being brought to the spec: server."),
        ("suspending", "Progressing", "Pods are being stopped."),
        (
            "suspended",
            "Suspended",
            "Suspended: no pod runs. Round 7 of 30 is released. Set spec.suspend to false to go on.",
        ),
        (
            "paused",
            "Suspended",
            "The operator changes nothing while the annotation shieldwall.dev/paused is true.",
        ),
        (
            "paused_in_capitals",
            "Suspended",
            "The operator changes nothing while the annotation shieldwall.dev/paused is true.",
        ),
        ("paused_in_other_words", "Healthy", "Round 7 of 30 is released."),
        (
            "paused_and_changed",
            "Suspended",
            "The operator changes nothing while the annotation shieldwall.dev/paused is true.",
        ),
        ("deleted", "Progressing", "The training is being deleted."),
    ],
)
def test_argo_cd_says_what_the_training_says(shelf, health, name, word, message):
    assert health(getattr(shelf, name)()) == (word, message)


def test_an_object_without_anything_is_progressing(health):
    assert health({})[0] == "Progressing"


def test_the_config_map_holds_the_same_check():
    data = YAML(typ="safe").load(ARGO / "argocd-cm.yaml")["data"]
    assert data == {"resource.customizations.health.shieldwall.dev_FederatedTraining": CHECK}
