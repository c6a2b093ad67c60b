"""The real Envoy with the certificates and revocation lists that Shieldwall's own PKI issues."""

from __future__ import annotations

import datetime as dt
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.contract import ports, routes
from shieldwall.control.steward.api import Whereabouts
from shieldwall.control.steward.credentials import Credentials, trusting
from shieldwall.control.steward.probes import closed_port, without_certificate
from shieldwall.control.steward.sight import Probe
from shieldwall.pki.authority import new_issuer, new_root
from shieldwall.pki.crl import issue_crl
from shieldwall.pki.leaf import LeafRequest, issue
from shieldwall.pki.pem import certificates_to_pem, crl_to_pem
from shieldwall.pki.serials import new_serial

pytestmark = pytest.mark.slow
PULL = "/v1/fleet/pull-messages"
HOUR = dt.timedelta(hours=1)


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


class House:
    """One root, and an issuing CA for each training and each generation."""

    def __init__(self, make, federations):
        self.make, self.now = make, dt.datetime.now(dt.UTC)
        self.root = new_root("Shieldwall", new_key(), new_serial(os.urandom), self.now)
        self.ours, self.next = (self.issuer(federations[0]) for _ in range(2))
        self.others = self.issuer(federations[1])

    def issuer(self, federation):
        return new_issuer(self.root, federation, new_key(), new_serial(os.urandom), self.now)

    def leaf(self, issuer, identity, *dns):
        key, request = new_key(), LeafRequest(identity, dns, HOUR)
        certificate = issue(issuer, request, key.public_key(), new_serial(os.urandom), self.now)
        return self.make.pair(certificate, key, (issuer.certificate,))

    def crl(self, issuer, *revoked):
        entries = {pair.certificate.serial_number: (self.now, x509.ReasonFlags.key_compromise) for pair in revoked}
        return crl_to_pem(issue_crl(issuer, entries, 1, self.now, self.now + HOUR))

    def trust(self, lab, issuers, crls):
        bundle = certificates_to_pem([issuer.certificate for issuer in issuers])
        self.make.mount(lab.settings.paths.trust, {"ca.crt": bundle.encode(), "ca.crl": "".join(crls).encode()})


@pytest.fixture(scope="module")
def house(make, federations):
    return House(make, federations)


@pytest.fixture(scope="module")
def lab(make, house, federations, steward, tmp_path_factory):
    lab = make.prepare(tmp_path_factory.mktemp("lab"), make.address(5))
    lab.root = make.pair(house.root.certificate, house.root.key)
    server = house.leaf(house.ours, federations[0].server(), "digits-server.demo.svc")
    make.mount(lab.settings.paths.tls, {"tls.crt": server.certificate_pem(), "tls.key": server.key_pem()})
    house.trust(lab, [house.ours], [house.crl(house.ours)])
    with make.running_server(lab, steward):
        yield lab


def test_each_role_passes_with_its_own_leaf_only(lab, house, federations):
    ours = federations[0]
    doors = {
        (ports.FLEET, PULL): ours.client("berlin"),
        (ports.STEWARD, routes.OPERATOR_STATUS): ours.operator(),
        (ports.RUNTIME, routes.ROUNDS_OPEN): ours.aggregator(),
    }
    leaves = {identity: house.leaf(house.ours, identity) for identity in doors.values()}
    for (port, path), owner in doors.items():
        for identity, pair in leaves.items():
            assert (lab.ask(port, pair, path).status == 200) == (identity == owner)


async def test_the_operators_probe_sees_the_alert_of_the_real_proxy(lab, house, federations):
    ours, ca = federations[0], certificates_to_pem([house.ours.certificate]).encode()
    own = house.leaf(house.ours, ours.operator())
    credentials = Credentials(own.certificate_pem(), own.key_pem(), ca, house.crl(house.ours).encode())
    where = Whereabouts(lab.settings.pod_ip, "digits-server.demo.svc", ours.server())
    assert await without_certificate(where, trusting(credentials)) is Probe.REFUSED
    assert await closed_port(where) is Probe.ADMITTED  # nothing but a network policy closes it


def test_a_leaf_of_another_training_under_the_same_root_is_refused(lab, house, federations):
    stranger = house.leaf(house.others, federations[1].client("berlin"))
    assert lab.ask(ports.FLEET, stranger, PULL).status == 0
    with_root = house.make.pair(stranger.certificate, stranger.key, (*stranger.chain, house.root.certificate))
    assert lab.ask(ports.FLEET, with_root, PULL).status == 0


def test_a_revoked_leaf_is_refused_and_its_neighbour_is_not(lab, house, federations, make):
    berlin, paris = (house.leaf(house.ours, federations[0].client(name)) for name in ("berlin", "paris"))
    assert lab.ask(ports.FLEET, berlin, PULL).status == 200
    house.trust(lab, [house.ours], [house.crl(house.ours, berlin)])
    make.until(lambda: lab.ask(ports.FLEET, berlin, PULL).status == 0)
    assert lab.ask(ports.FLEET, paris, PULL).status == 200


def test_two_generations_of_the_issuing_ca_are_trusted_side_by_side(lab, house, federations, make):
    old, new = (house.leaf(issuer, federations[0].client("berlin")) for issuer in (house.ours, house.next))
    assert lab.ask(ports.FLEET, new, PULL).status == 0
    house.trust(lab, [house.ours, house.next], [house.crl(house.ours), house.crl(house.next)])
    make.until(lambda: lab.ask(ports.FLEET, new, PULL).status == 200)
    assert lab.ask(ports.FLEET, old, PULL).status == 200
    house.trust(lab, [house.next], [house.crl(house.next)])
    make.until(lambda: lab.ask(ports.FLEET, old, PULL).status == 0)
    assert lab.ask(ports.FLEET, new, PULL).status == 200


def test_a_ca_without_a_list_of_its_own_passes_nobody(lab, house, federations, make):
    old, new = (house.leaf(issuer, federations[0].client("berlin")) for issuer in (house.ours, house.next))
    house.trust(lab, [house.ours, house.next], [house.crl(house.ours)])
    make.until(lambda: lab.ask(ports.FLEET, old, PULL).status == 200)
    assert lab.ask(ports.FLEET, new, PULL).status == 0
