import datetime as dt

from shieldwall.contract.policy import Rule, RuntimePolicy
from shieldwall.control.api.parse import parse_training
from shieldwall.control.issuing.randomness import Randomness
from shieldwall.local.baseline import unprotected_policy
from shieldwall.local.cluster.containers import Place, launch
from shieldwall.local.cluster.templates import config_maps, pod_templates
from shieldwall.local.cluster.users import UserEach
from shieldwall.local.cluster.volumes import Directories
from shieldwall.local.desk import Desk, Shelves
from shieldwall.local.planner import Planner, federation_of, leaf_lifetime, local_settings
from shieldwall.local.preview import preview

TRAINING = parse_training(
    {
        "apiVersion": "shieldwall.dev/v1alpha1",
        "kind": "FederatedTraining",
        "metadata": {"name": "digits"},
        "spec": {
            "app": {
                "image": "registry.example/digits:1",
                "clientApp": "digits.app:client",
                "model": "digits.app:model",
            },
            "rounds": {"count": 3},
            "clients": [{"name": name} for name in ("a", "b", "c", "d", "e")],
            "aggregation": {"rule": "FedTrimmedAvg", "byzantine": 1, "maxNorm": 1.0},
        },
    }
)


def planner(directory, *, protected):
    desk = Desk(Shelves(directory), federation_of(TRAINING), leaf_lifetime(TRAINING), Randomness())
    return Planner(TRAINING, local_settings(), desk, protected=protected)


def policies(plan):
    return [
        RuntimePolicy.from_json(each["policy.json"].decode())
        for each in config_maps(plan.objects).values()
        if "policy.json" in each
    ]


def test_a_plan_is_complete_and_names_every_pod(tmp_path):
    now = dt.datetime.now(dt.UTC)
    one = planner(tmp_path, protected=True)
    plan = one.plan(now)
    assert plan.complete
    assert [template.client for template in pod_templates(plan.objects)] == [None, None, "a", "b", "c", "d", "e"]
    assert one.server_name().startswith("digits-server")
    assert one.plan(now).objects == plan.objects  # a second pass renews nothing


def test_protection_is_on_unless_it_is_taken_away(tmp_path):
    now = dt.datetime.now(dt.UTC)
    for policy in policies(planner(tmp_path / "on", protected=True).plan(now)):
        assert (policy.aggregation.rule, policy.aggregation.max_norm) == (Rule.FED_TRIMMED_AVG, 1.0)
        assert policy.require_signatures
    assert any(
        policy.contribution and policy.validation
        for policy in policies(planner(tmp_path / "on", protected=True).plan(now))
    )
    bare = policies(planner(tmp_path / "off", protected=False).plan(now))
    assert len(bare) == 2
    for policy in bare:
        assert (policy.aggregation.rule, policy.aggregation.byzantine) == (Rule.FED_AVG, 0)
        assert policy.aggregation.max_norm is None
        assert not policy.require_signatures
        assert (policy.contribution, policy.validation) == (None, None)


def test_nothing_but_protection_changes(tmp_path):
    for policy in policies(planner(tmp_path, protected=True).plan(dt.datetime.now(dt.UTC))):
        bare = unprotected_policy(policy)
        protection = {"aggregation", "require_signatures", "contribution", "validation"}
        assert bare.model_copy(update={name: getattr(policy, name) for name in protection}) == policy


def test_a_preview_shows_no_key_and_names_every_secret():
    shown = preview(TRAINING, dt.datetime.now(dt.UTC))
    assert {name for name, _ in shown.secrets} >= {"digits-ca", "digits-server-tls", "digits-superexec"}
    assert len(pod_templates(shown.objects)) == 7
    assert "BEGIN" not in repr(shown)


def test_of_a_planned_client_only_the_proxy_and_the_supernode_get_at_keys(tmp_path):
    """By the real plan: a trainer is in no group that opens a volume with a key."""
    now = dt.datetime.now(dt.UTC)
    one = planner(tmp_path / "desk", protected=True)
    plan = one.plan(now)
    users = UserEach(1000)
    directories = Directories(tmp_path / "pods", tmp_path / "claims", tmp_path / "data")
    for template in pod_templates(plan.objects):
        if template.client is None:
            continue
        where = {volume.name: directories.of(template.name, volume) for volume in template.volumes}
        place = Place(template.name, "default", "127.64.0.3", "127.64.0.2", tmp_path / "r", tmp_path, where, users, {})
        spec = template.spec
        every = {each.name: launch(each, spec, place, None) for each in (*spec.init_containers, *spec.containers)}
        holders = {
            key: {name for name, started in every.items() if users.group(where[key]) in started.groups}
            for key in ("tls", "node", "local-tls")
        }
        assert holders == {"tls": {"proxy", "supernode"}, "node": {"supernode"}, "local-tls": {"init", "proxy"}}
        assert len({every[name].user for name in ("proxy", "supernode", "trainer")}) == 3
