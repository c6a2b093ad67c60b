"""Lists in pages, and what goes wrong between them."""

import pytest

from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.cluster.kinds import BUDGET, CONFIG_MAP, NETWORK_POLICY, OWNED, SECRET, TRAINING
from shieldwall.control.cluster.listing import Lister
from shieldwall.control.cluster.store import Store
from shieldwall.control.status.sight import Requirement

from .conftest import TRAINING_LABEL, body_of, simulate

KEY = ("fed", "digits")


def page(*names, version, token=None, kind=CONFIG_MAP):
    items = [body_of(kind, name, index + 1) for index, name in enumerate(names)]
    for item in items:
        del item["kind"], item["apiVersion"]
    return {"metadata": {"resourceVersion": str(version)} | ({"continue": token} if token else {}), "items": items}


class Pages:
    """Lists by kind; an exception in a list is raised in its place. Each time it is asked, the next script."""

    def __init__(self, **scripts):
        self._scripts = {kind: list(each) for kind, each in scripts.items()}
        self.asked = []

    async def list_pages(self, kind, namespace=None, selector=None):
        self.asked.append((kind.kind, namespace, selector))
        left = self._scripts.get(kind.kind)
        for each in left.pop(0) if left else [page(version=50)]:
            if isinstance(each, Exception):
                raise each
            yield each


EXPIRED = ApiError(410, "Expired", "The provided continue parameter is too old")


async def test_a_list_that_expires_between_pages_begins_anew():
    """What the first pages held is not mixed with what the second attempt says."""
    store = Store()
    half = page("gone", "a", version=10, token="next")
    api = Pages(ConfigMap=[[half, EXPIRED], [page("a", version=20, token="next"), page("b", version=25)]])
    assert await Lister(api, store, ()).everything() == {KEY}
    assert set(store.owned(KEY)) == {("ConfigMap", "a"), ("ConfigMap", "b")}
    assert [kind for kind, *_ in api.asked].count("ConfigMap") == 2


async def test_a_list_counts_as_of_its_first_page():
    """An object that was made while later pages came is no ghost."""
    store = Store()
    store.put(CONFIG_MAP, body_of(CONFIG_MAP, "made-meanwhile", 15))
    store.put(CONFIG_MAP, body_of(CONFIG_MAP, "ghost", 9))
    api = Pages(ConfigMap=[[page("a", version=10, token="next"), page("b", version=20)]])
    await Lister(api, store, ()).everything()
    assert {name for _, name in store.owned(KEY)} == {"a", "b", "made-meanwhile"}


async def test_it_gives_up_on_a_list_that_always_expires_and_keeps_what_it_had():
    store = Store()
    store.put(CONFIG_MAP, body_of(CONFIG_MAP, "a", 5))
    api = Pages(ConfigMap=[[EXPIRED]] * 9)
    with pytest.raises(ApiError, match="expired 5 times"):
        await Lister(api, store, ()).everything()
    assert set(store.owned(KEY)) == {("ConfigMap", "a")}


async def test_any_other_error_is_raised_and_nothing_of_the_list_taken():
    store = Store()
    store.put(SECRET, body_of(SECRET, "s", 5))
    api = Pages(Secret=[[page("a", version=10, token="next", kind=SECRET), ApiError(500, "Internal", "etcd")]])
    with pytest.raises(ApiError, match="etcd"):
        await Lister(api, store, ()).everything()
    assert {name for _, name in store.owned(KEY)} == {"s"}


async def test_trainings_come_last_and_only_owned_objects_are_chosen_by_label():
    api = Pages()
    await Lister(api, Store(), ()).everything()
    asked = {kind: selector for kind, _, selector in api.asked}
    assert [kind for kind, *_ in api.asked] == [kind.kind for kind in (*OWNED, BUDGET, TRAINING)]
    chosen = {kind for kind, selector in asked.items() if selector == TRAINING_LABEL}
    assert chosen == {kind.kind for kind in OWNED} - {"NetworkPolicy"}


async def test_a_cluster_without_budgets_has_none_and_its_trainings_are_listed():
    store = Store()
    missing, broken = ApiError(404, "NotFound", "no such kind"), ApiError(500, "InternalError", "etcd")
    api = Pages(PrivacyBudget=[[missing], [broken]], FederatedTraining=[[page("digits", version=9, kind=TRAINING)]])
    assert await Lister(api, store, ()).everything() == {KEY}
    with pytest.raises(ApiError, match="etcd"):
        await Lister(api, store, ()).everything()


async def test_a_budget_that_a_list_has_missed_has_gone():
    store = Store()
    store.budgets.put(body_of(BUDGET, "patients", 5, training=None))
    await Lister(Pages(PrivacyBudget=[[page("others", version=9, kind=BUDGET)]]), store, ()).everything()
    assert store.budgets.keys() == {("fed", "others")}
    assert store.budgets.get(("fed", "others"))["kind"] == "PrivacyBudget", "items of a list come without"


async def test_of_several_namespaces_the_oldest_list_counts():
    store = Store()
    store.put(CONFIG_MAP, body_of(CONFIG_MAP, "between", 15))
    api = Pages(ConfigMap=[[page("a", version=20)], [page(version=10)]])
    await Lister(api, store, ("fed", "other")).everything()
    assert {name for _, name in store.owned(KEY)} == {"a", "between"}
    assert [namespace for kind, namespace, _ in api.asked if kind == "ConfigMap"] == ["fed", "other"]


async def test_a_training_that_a_list_has_missed_is_named_so_that_it_is_forgotten():
    store = Store()
    store.put_training(body_of(TRAINING, "digits", 5, training=None))
    assert await Lister(Pages(), store, ()).everything() == {KEY}
    assert await Lister(Pages(), store, ()).everything() == frozenset()


def test_a_list_is_due_after_its_time_or_soon_after_a_watch_began_anew():
    async def main(loop):
        store = Store()
        lister = Lister(Pages(), store, ())
        await lister.due(300)
        assert loop.time() == 300
        loop.call_later(20, store.doubted.set)
        await lister.due(300)
        assert 320 < loop.time() < 330
        await lister.everything()
        began = loop.time()
        await lister.due(300)
        assert loop.time() == began + 300, "the list has settled the doubt"

    simulate(main)


def network_policy(name, training=None, **spec):
    return body_of(NETWORK_POLICY, name, 5, training=training, spec={"podSelector": {}} | spec)


def listed(*policies):
    return Pages(NetworkPolicy=[[{"metadata": {"resourceVersion": "50"}, "items": list(policies)}]])


async def test_network_policies_of_others_are_seen_and_held_for_no_training():
    store = Store()
    own = network_policy("digits-server", "digits", ingress=[{}], policyTypes=["Ingress"])
    await Lister(listed(own, network_policy("open", ingress=[{}])), store, ()).everything()
    assert set(store.owned(KEY)) == {("NetworkPolicy", "digits-server")}
    assert [policy.name for policy in store.policies["fed"]] == ["digits-server", "open"]
    await Lister(listed(own), store, ()).everything()
    assert [policy.name for policy in store.policies["fed"]] == ["digits-server"]


@pytest.mark.parametrize(
    ("spec", "allows"),
    [
        ({"ingress": [{}]}, True),
        ({"egress": [{}], "policyTypes": ["Egress"]}, True),
        ({"policyTypes": ["Ingress", "Egress"]}, False),
        ({"ingress": [], "egress": []}, False),
        ({"ingress": [{}], "policyTypes": ["Egress"]}, False),
    ],
)
async def test_a_network_policy_without_a_rule_only_closes(spec, allows):
    store = Store()
    await Lister(listed(network_policy("x", **spec)), store, ()).everything()
    assert ("fed" in store.policies) == allows


async def test_a_network_policys_selector_and_owner_are_read():
    selector = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "NotIn", "values": ["db"]},
            {"key": "x", "operator": "Exists"},
        ],
    }
    owner = {"kind": "FederatedTraining", "name": "digits", "uid": "uid-1", "controller": True}
    body = network_policy("x", podSelector=selector, ingress=[{}])
    body["metadata"]["ownerReferences"] = [{**owner, "controller": False, "uid": "another"}, owner]
    store = Store()
    await Lister(listed(body), store, ()).everything()
    (policy,) = store.policies["fed"]
    assert policy.owner == "uid-1"
    assert policy.selects == (
        Requirement("app", "In", frozenset({"web"})),
        Requirement("tier", "NotIn", frozenset({"db"})),
        Requirement("x", "Exists"),
    )
