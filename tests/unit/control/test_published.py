"""What somebody writes into a training's trust is taken out, whatever they put beside what is good."""

import copy
from datetime import timedelta

import pytest

from shieldwall.contract.identity import Federation
from shieldwall.control.api.parse import parse_training
from shieldwall.control.cluster.entries import plain
from shieldwall.control.issuing.contents import authority_files, root_files
from shieldwall.control.issuing.facts import authority_of
from shieldwall.control.issuing.randomness import Randomness
from shieldwall.control.issuing.trust import trust_of
from shieldwall.control.plan.orders import Trust
from shieldwall.control.steward.api import StewardUnreachableError
from shieldwall.pki.renewal import crl_number

from .conftest import NOW, replica, training_body
from .test_reissues import KEY, LEAF, TRUST, passes, spoil, told

JUNK = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"


@pytest.fixture(scope="module")
def evil():
    """A trust in another's CA, of the same names."""
    random = Randomness()
    root = authority_of(root_files("evil", NOW, random))
    files = authority_files(root, Federation("cluster.local", *KEY), timedelta(hours=24), NOW, random)
    return trust_of(authority_of(files), None, NOW)


def data(cluster):
    return cluster.objects[TRUST]["data"]


def write(cluster, **change):
    """What a writer of ConfigMaps does."""
    body = copy.deepcopy(cluster.objects.pop(TRUST))
    del body["metadata"]["resourceVersion"]
    body["data"] |= {name.replace("_", "."): text for name, text in change.items()}
    cluster.put(body)


def spoilt(good, evil):
    return {
        "junk": {"ca_crl": good["ca.crl"] + JUNK},
        "ca in the list": {"ca_crl": good["ca.crl"] + evil.ca + evil.crl},
        "ca in the bundle": {"ca_crt": good["ca.crt"] + evil.ca},
        "both": {"ca_crt": good["ca.crt"] + evil.ca, "ca_crl": good["ca.crl"] + evil.crl},
        "another": {"ca_crt": evil.ca, "ca_crl": evil.crl},
    }


@pytest.mark.parametrize("what", ["junk", "ca in the list", "ca in the bundle", "both", "another"])
async def test_what_is_put_beside_a_good_trust_is_taken_out_and_told(cluster, evil, what):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        good = copy.deepcopy(data(cluster))
        write(cluster, **spoilt(good, evil)[what])
        await passes(parts)
        assert data(cluster) == good, "nothing is signed for it"
        assert parts.metrics.registry.get_sample_value("shieldwall_objects_repaired_total", {"kind": "ConfigMap"}) == 1
    assert "ConfigMap digits-trust was changed" in told(cluster, "DriftRepaired")[0]["note"]


@pytest.mark.parametrize("what", ["junk", "ca in the list", "ca in the bundle", "both", "another"])
async def test_an_operator_that_finds_it_so_when_it_begins_signs_another(cluster, evil, what):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
    good = copy.deepcopy(data(cluster))
    write(cluster, **spoilt(good, evil)[what])
    async with replica(cluster, lambda: NOW + timedelta(minutes=1)) as parts:
        await passes(parts)
    now = data(cluster)
    assert now["ca.crt"] == good["ca.crt"]
    assert now["ca.crl"].count("BEGIN") == 1
    assert now["ca.crl"] not in {good["ca.crl"], evil.crl} or "bundle" in what


async def test_an_older_list_does_not_come_back(cluster, clock):
    cluster.put(training_body())
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        old = data(cluster)["ca.crl"]
        clock.now += timedelta(hours=85)
        await passes(parts, 2)
        new = data(cluster)["ca.crl"]
        assert new != old
        clock.now -= timedelta(hours=80)
        write(cluster, ca_crl=old)
        await passes(parts)
        assert data(cluster)["ca.crl"] == new


async def test_a_newer_list_of_another_replica_is_taken_over(cluster):
    cluster.put(training_body())
    async with replica(cluster) as one:
        await passes(one, 2)
        async with replica(cluster, lambda: NOW + timedelta(hours=85)) as two:
            await passes(two, 2)
        new = data(cluster)["ca.crl"]
        cluster.requests.clear()
        await passes(one)
        assert data(cluster)["ca.crl"] == new
        issuer = one.reconciler._planner.plan(
            parse_training(training_body()), one.store.owned(KEY), NOW
        ).observed.issuer
        assert crl_number(new, issuer) == int((NOW + timedelta(hours=85)).timestamp())


async def test_a_leaf_with_more_behind_its_chain_is_issued_anew(cluster, evil):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        for entry in ("tls.crt", "ca.crt"):
            good = plain(cluster.objects[LEAF])
            spoil(cluster, LEAF, **{entry: good[entry] + evil.ca.encode()})
            await passes(parts)
            now = plain(cluster.objects[LEAF])
            assert now["tls.crt"] != good["tls.crt"]
            assert evil.ca.encode() not in now["tls.crt"] + now["ca.crt"]


async def test_no_steward_is_asked_by_a_trust_that_is_not_the_cas(cluster, evil):
    """Of a training that is paused nothing is mended: its steward is not believed by what somebody wrote."""
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        training = parse_training(training_body())
        stewards = parts.reconciler._stewards
        good = parts.reconciler._planner.plan(training, parts.store.owned(KEY), NOW).observed
        for ca, crl in ((good.trust.ca, good.trust.crl + evil.ca), (good.trust.ca + evil.ca, good.trust.crl)):
            write(cluster, ca_crt=ca, ca_crl=crl)
            await parts.worker._lister.everything()
            observed = parts.reconciler._planner.plan(training, parts.store.owned(KEY), NOW).observed
            assert observed.trust == Trust(ca, crl)
            stewards.follow(training, observed, running=False)
            with pytest.raises(StewardUnreachableError, match="trust bundle"):
                await stewards._credentials(KEY)
        stewards.follow(training, good, running=False)
        assert (await stewards._credentials(KEY)).ca == good.trust.ca.encode()
