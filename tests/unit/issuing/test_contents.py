import datetime as dt

import pytest

from shieldwall.contract.identity import Role
from shieldwall.control.issuing.contents import (
    authority_files,
    certificate_files,
    node_key_files,
    root_files,
    shared_secret_files,
)
from shieldwall.control.issuing.facts import authority_of, leaf_of, node_key_of, shared_secret_in
from shieldwall.control.issuing.randomness import Randomness
from shieldwall.control.plan.orders import SharedSecretOrder
from shieldwall.pki.authority import federation_of
from shieldwall.pki.leaf import LeafRequest
from shieldwall.pki.pem import certificates_from_pem
from shieldwall.pki.verify import is_issued_by, verify_leaf

DAY = dt.timedelta(days=1)


def test_each_kind_of_secret_is_read_back_as_what_it_is(root, federation, now, random):
    authority = authority_files(root, federation, DAY, now, random)
    issuer = authority_of(authority)
    assert federation_of(issuer.certificate) == federation
    assert is_issued_by(issuer.certificate, root.certificate)
    assert certificates_from_pem(authority["ca.crt"]) == (root.certificate,)
    leaf = certificate_files(issuer, LeafRequest(federation.client("berlin"), (), DAY), now, random)
    assert set(leaf) == {"tls.crt", "tls.key", "ca.crt"}
    assert verify_leaf(leaf_of(leaf), [issuer.certificate], now, Role.CLIENT) == federation.client("berlin")
    assert node_key_of(node_key_files(random)).startswith("-----BEGIN PUBLIC KEY-----\n")
    order = SharedSecretOrder("digits-superexec", "superexec")
    assert shared_secret_in(shared_secret_files(order, random), "superexec")


@pytest.mark.parametrize(("leaf", "life"), [(DAY, 90), (30 * DAY, 90), (dt.timedelta(days=40), 120)])
def test_an_issuing_ca_outlives_its_leaves_three_times(new_issuer, now, leaf, life):
    certificate = new_issuer(leaf).certificate
    assert certificate.not_valid_after_utc == now + life * DAY


def test_everything_made_twice_differs(now):
    random = Randomness()
    one, other = root_files("a", now, random), root_files("a", now, random)
    assert one["tls.key"] != other["tls.key"]
    assert node_key_files(random) != node_key_files(random)
    order = SharedSecretOrder("s", "k")
    assert shared_secret_files(order, random) != shared_secret_files(order, random)
    assert random.serial() != random.serial()


def test_no_key_of_an_authority_is_in_a_leafs_secret(leaf_files, new_issuer):
    issuer = new_issuer()
    content = b"".join(leaf_files(issuer).values())
    assert content.count(b"PRIVATE KEY") == 2, "begin and end of one key"
    assert issuer.to_pem().key.encode() not in content
