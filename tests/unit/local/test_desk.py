import datetime as dt
import stat
import subprocess

import pytest
from cryptography import x509

from shieldwall.contract.identity import Federation, Role
from shieldwall.control.issuing.randomness import Randomness
from shieldwall.control.plan.orders import AuthorityOrder, CertificateOrder, NodeKeyOrder, Plan, SharedSecretOrder
from shieldwall.local import certificates
from shieldwall.local.desk import Desk, ForeignDirectoryError, Shelves
from shieldwall.pki.node_key import node_key_from_openssh, public_pem
from shieldwall.pki.pem import certificates_from_pem
from shieldwall.pki.verify import verify_leaf

DAY = dt.timedelta(hours=24)


def orders(federation):
    return Plan(
        authority=AuthorityOrder("digits-ca"),
        certificates=(
            CertificateOrder("digits-server-tls", federation.server(), ("server.fed.svc",), DAY, "Missing"),
            CertificateOrder("digits-tls-berlin", federation.client("berlin"), (), DAY, "Missing"),
        ),
        node_keys=(NodeKeyOrder("digits-node-berlin", "berlin"),),
        shared_secrets=(SharedSecretOrder("digits-superexec", "superexec"),),
        objects=(),
    )


@pytest.fixture
def shelves(tmp_path):
    return Shelves(tmp_path)


@pytest.fixture
def desk(shelves, federation, now):
    desk = Desk(shelves, federation, DAY, Randomness())
    desk.fill(orders(federation), now)
    return desk


def test_everything_that_was_ordered_is_observed(desk, federation, now):
    observed = desk.observe()
    leaf = observed.leaves["digits-tls-berlin"]
    assert verify_leaf(leaf, [observed.issuer], now, Role.CLIENT) == federation.client("berlin")
    assert verify_leaf(observed.leaves["digits-server-tls"], [observed.issuer], now, Role.SERVER)
    assert observed.shared_secrets == {"digits-superexec"}
    assert certificates_from_pem(observed.trust.ca) == (observed.issuer,)
    key = node_key_from_openssh(desk.shelves.nodes.read("digits-node-berlin")["node.key"])
    assert observed.node_keys == {"berlin": public_pem(key)}


def test_a_desk_goes_on_from_what_was_kept(desk, shelves, federation):
    again = Desk(shelves, federation, DAY, Randomness())
    assert again.observe() == desk.observe()


def test_what_belongs_to_another_training_is_not_used(desk, shelves):
    with pytest.raises(ForeignDirectoryError, match="training/digits"):
        Desk(shelves, Federation("cluster.local", "fed", "other"), DAY, Randomness())


def test_no_pod_can_mount_an_authority_or_the_runners_own_leaf(desk, now):
    desk.operator_leaf(now)
    assert set(desk.shelves.mountable()) == {
        "digits-server-tls",
        "digits-tls-berlin",
        "digits-node-berlin",
        "digits-superexec",
    }


def test_only_the_owner_reads_what_is_kept(desk, tmp_path, now):
    desk.operator_leaf(now)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    directories = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in directories} == {0o700}


def test_a_renewed_leaf_has_another_key_and_the_same_names(desk, now):
    before = desk.observe()
    desk.renew("digits-server-tls", now)
    old, new = before.leaves["digits-server-tls"], desk.observe().leaves["digits-server-tls"]
    assert old.public_key() != new.public_key()
    assert old.serial_number != new.serial_number
    assert certificates.facts(old).subject == certificates.facts(new).subject == "server"
    with pytest.raises(KeyError):
        desk.renew("nobody", now)


def test_what_a_leaf_answers_is_kept_with_it_and_mounted_nowhere(desk, federation, now):
    order = CertificateOrder("digits-tls-berlin", federation.client("berlin"), (), DAY, "Requested", "a|b")
    desk.fill(Plan(None, (order,), (), (), ()), now)
    assert desk.observe().renewals == {"digits-server-tls": "", "digits-tls-berlin": "a|b"}
    desk.renew("digits-tls-berlin", now)
    assert desk.observe().renewals["digits-tls-berlin"] == "a|b"
    assert {name for each in desk.shelves.mountable().values() for name in each} == {
        "tls.crt", "tls.key", "ca.crt", "node.key", "node.pub", "superexec",
    }  # fmt: skip


def test_the_runners_own_leaf_is_renewed_when_it_is_due(desk, now):
    directory = desk.operator_leaf(now)
    first = (directory / "tls.crt").read_bytes()
    assert (desk.operator_leaf(now + dt.timedelta(hours=12)) / "tls.crt").read_bytes() == first
    assert (desk.operator_leaf(now + dt.timedelta(hours=20)) / "tls.crt").read_bytes() != first


def test_the_revocation_list_is_refreshed_long_before_it_ends(desk, now):
    first = desk.observe().trust.crl
    assert not desk.refresh_crl(now + dt.timedelta(days=3))
    assert desk.observe().trust.crl == first
    assert desk.refresh_crl(now + dt.timedelta(days=4))
    assert x509.load_pem_x509_crl(desk.observe().trust.crl.encode()).next_update_utc == now + dt.timedelta(days=11)


def test_openssl_accepts_the_leaves(desk, tmp_path):
    trust = desk.trust / "ca.crt"
    for secret, purpose in (("digits-server-tls", "sslserver"), ("digits-tls-berlin", "sslclient")):
        leaf = desk.shelves.leaves.path(secret) / "tls.crt"
        command = ["openssl", "verify", "-x509_strict", "-partial_chain", "-attime", "1772366400", "-purpose", purpose]
        done = subprocess.run([*command, "-CAfile", trust, leaf], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_table_has_the_server_first(desk):
    rows = certificates.table(desk.leaves().values())
    assert [row.subject for row in rows] == ["server", "client/berlin"]
    assert all(row.renews < row.expires for row in rows)
