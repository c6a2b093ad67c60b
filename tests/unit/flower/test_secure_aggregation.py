"""Secure aggregation in a client: an app with Flower's mods for it never trains, and is told why."""

import pytest
from flwr.client.mod import arrays_size_mod
from flwr.clientapp import ClientApp

from shieldwall.contract.policy import AggregationPolicy, AppPolicy, FederationPolicy, RoundsPolicy, Rule, RuntimePolicy
from shieldwall.runtime.clientapp import SealingClientApp
from shieldwall.runtime.flower.secure_aggregation import HiddenUpdatesError, require_open

FROM_FLOWER = (
    "from flwr.client.mod import arrays_size_mod, make_ffn, secagg_mod, secaggplus_mod\n"
    "from flwr.clientapp import ClientApp\n"
)
TRAIN = "def train(message, context): ..."
MADE = {
    "for all": f"app = ClientApp(mods=[arrays_size_mod, secaggplus_mod])\n@app.train()\n{TRAIN}",
    "for one": f"app = ClientApp()\n@app.train(mods=[secagg_mod, arrays_size_mod])\n{TRAIN}",
    "for one action": f"app = ClientApp()\n@app.train('more', mods=[secagg_mod])\n{TRAIN}",
    "older": "app = ClientApp(client_fn=lambda context: None, mods=[arrays_size_mod, secaggplus_mod])",
    "a function": f"{TRAIN}\napp = make_ffn(train, [secaggplus_mod])",
}


def policy_of(app):
    """Of a client's pod."""
    return RuntimePolicy(
        federation=FederationPolicy(uid="1", trust_domain="example.org", namespace="demo", name="digits"),
        app=AppPolicy(client_app=app, model="a:model"),
        rounds=RoundsPolicy(count=1, min_replies=1),
        aggregation=AggregationPolicy(rule=Rule.MULTI_KRUM),
    )


@pytest.mark.parametrize("made", MADE)
def test_an_app_with_a_mod_of_secure_aggregation_is_not_adopted(tmp_path, monkeypatch, made):
    name = f"masking_{abs(hash(made))}"
    (tmp_path / f"{name}.py").write_text(FROM_FLOWER + MADE[made])
    monkeypatch.syspath_prepend(str(tmp_path))
    pod = SealingClientApp()
    with pytest.raises(HiddenUpdatesError) as refused:
        pod.adopt(policy_of(f"{name}:app"))
    assert not hasattr(pod, "user")
    assert str(refused.value).startswith(
        f"{refused.value.name} hides each client's update from the server, and MultiKrum"
    )
    assert refused.value.name in MADE[made]
    assert "use spec.privacy with mode RecordLevel or ClientLevelLocal" in str(refused.value)


def test_other_mods_and_apps_that_are_functions_are_adopted():
    app = ClientApp(mods=[arrays_size_mod])

    @app.train()
    def train(message, context):
        return later(message, context)  # closes over a name that is set below, and itself over nothing

    require_open(app, Rule.MULTI_KRUM)
    require_open(train, Rule.MULTI_KRUM)
    later = train
    require_open(app, Rule.MULTI_KRUM)
