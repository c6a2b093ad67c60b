"""Fills the orders of a plan: keys, certificates and random secrets, kept in a directory of this machine."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.control.plan.orders import Observed, Trust
from shieldwall.local.store import SecretStore
from shieldwall.pki.authority import ISSUER_LIFETIME, LIFE_RATIO, Authority, federation_of, new_issuer, new_root
from shieldwall.pki.crl import issue_crl
from shieldwall.pki.leaf import LeafRequest, issue
from shieldwall.pki.node_key import node_key_to_openssh, public_pem
from shieldwall.pki.pem import certificates_from_pem, certificates_to_pem, crl_to_pem, private_key_to_pem
from shieldwall.pki.renewal import renewal_time
from shieldwall.pki.serials import new_serial
from shieldwall.pki.verify import dns_names_of, identity_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from shieldwall.contract.identity import Federation
    from shieldwall.control.plan.orders import AuthorityOrder, NodeKeyOrder, Plan, SharedSecretOrder

_ROOT: Final = "root"
_OPERATOR: Final = "operator"
_TRUST: Final = "trust"
_CRL_LIFETIME: Final = timedelta(days=7)
_OPERATOR_LIFETIME: Final = timedelta(hours=24)


class ForeignDirectoryError(ValueError):
    """A kept directory belongs to another training; ``owner`` is its identities' prefix."""

    def __init__(self, owner: str, wanted: str) -> None:
        super().__init__(f"The directory holds the secrets of {owner}, not of {wanted}. Choose another one.")
        self.owner = owner


@dataclass(frozen=True, slots=True)
class Randomness:
    """Where keys, serials and secrets come from."""

    new_key: Callable[[], ec.EllipticCurvePrivateKey] = lambda: ec.generate_private_key(ec.SECP256R1())
    octets: Callable[[int], bytes] = secrets.token_bytes


class Shelves:
    """What the desk keeps, each kind by itself: what pods mount never lies with the keys of authorities."""

    def __init__(self, directory: Path) -> None:
        self.authorities = SecretStore(directory / "authorities")
        """``root`` and the issuing CA under its Secret's name."""
        self.own = SecretStore(directory / "own")
        """The leaf by which this program speaks with the steward."""
        self.trust = SecretStore(directory / "trust")
        """``ca.crt`` and ``ca.crl``."""
        self.leaves = SecretStore(directory / "leaves")
        self.nodes = SecretStore(directory / "nodes")
        self.registered = SecretStore(directory / "registered")
        """``node.pub`` by client."""
        self.shared = SecretStore(directory / "shared")

    def mountable(self) -> dict[str, dict[str, bytes]]:
        """The Secrets that pods may mount."""
        return self.leaves.all() | self.nodes.all() | self.shared.all()


class Desk:
    """The certificate desk of one run."""

    def __init__(self, shelves: Shelves, federation: Federation, leaf_lifetime: timedelta, random: Randomness) -> None:
        """``leaf_lifetime``: of the training's leaves; their issuer lives long enough for it.

        Raises ForeignDirectoryError when the shelves are another training's.
        """
        self.shelves = shelves
        self._federation = federation
        self._leaf_lifetime = leaf_lifetime
        self._random = random
        issuer = self._issuer()
        owner = federation_of(issuer.certificate) if issuer is not None else federation
        if owner != federation:
            raise ForeignDirectoryError(owner.prefix if owner is not None else "nobody", federation.prefix)

    def observe(self) -> Observed:
        """What exists."""
        issuer = self._issuer()
        trust = self.shelves.trust.read(_TRUST)
        return Observed(
            trust=Trust(trust["ca.crt"].decode(), trust["ca.crl"].decode()) if trust is not None else None,
            issuer=issuer.certificate if issuer is not None else None,
            leaves=self.leaves(),
            node_keys={client: each["node.pub"].decode() for client, each in self.shelves.registered.all().items()},
            shared_secrets=frozenset(self.shelves.shared.names()),
        )

    def leaves(self) -> dict[str, x509.Certificate]:
        """The pods' leaves, by Secret."""
        return {name: certificates_from_pem(each["tls.crt"])[0] for name, each in self.shelves.leaves.all().items()}

    def fill(self, plan: Plan, now: datetime) -> None:
        """Carry out all orders of ``plan``, the authority's first."""
        if plan.authority is not None:
            self._make_issuer(plan.authority, now)
        self.refresh_crl(now)
        for order in plan.certificates:
            self._issue(
                self.shelves.leaves, order.secret, LeafRequest(order.identity, order.dns_names, order.lifetime), now
            )
        for node in plan.node_keys:
            self._make_node_key(node)
        for shared in plan.shared_secrets:
            self._make_shared(shared)

    def renew(self, secret: str, now: datetime) -> None:
        """Issue a leaf anew, with a new key; raises KeyError when there is none."""
        leaf = self.leaves()[secret]
        names = tuple(sorted(dns_names_of(leaf)))
        self._issue(self.shelves.leaves, secret, LeafRequest(identity_of(leaf), names, self._leaf_lifetime), now)

    def operator_leaf(self, now: datetime) -> Path:
        """The directory of this program's own leaf (``tls.crt``, ``tls.key``), issued anew when it is due."""
        content = self.shelves.own.read(_OPERATOR)
        if content is None or now >= renewal_time(certificates_from_pem(content["tls.crt"])[0]):
            request = LeafRequest(self._federation.operator(), (), _OPERATOR_LIFETIME)
            self._issue(self.shelves.own, _OPERATOR, request, now)
        return self.shelves.own.path(_OPERATOR)

    @property
    def trust(self) -> Path:
        """The directory of ``ca.crt`` and ``ca.crl``."""
        return self.shelves.trust.path(_TRUST)

    def refresh_crl(self, now: datetime) -> bool:
        """Issue the list of revoked certificates when there is none or half its life is over; says whether it did."""
        issuer = self._require_issuer()
        ca = certificates_to_pem([issuer.certificate]).encode()
        trust = self.shelves.trust.read(_TRUST)
        if trust is not None and trust["ca.crt"] == ca and _fresh(trust["ca.crl"], now):
            return False
        end = min(now + _CRL_LIFETIME, issuer.certificate.not_valid_after_utc)
        crl = issue_crl(issuer, {}, int(now.timestamp()), now, end)
        self.shelves.trust.write(_TRUST, {"ca.crt": ca, "ca.crl": crl_to_pem(crl).encode()})
        return True

    def _root(self, now: datetime) -> Authority:
        content = self.shelves.authorities.read(_ROOT)
        if content is not None:
            return Authority.from_pem(content["tls.crt"], content["tls.key"])
        root = new_root("Shieldwall on this machine", self._random.new_key(), self._serial(), now)
        self.shelves.authorities.write(_ROOT, _files(root))
        return root

    def _issuer(self) -> Authority | None:
        """The issuing CA; there is one for a training."""
        made = [content for name, content in self.shelves.authorities.all().items() if name != _ROOT]
        return Authority.from_pem(made[0]["tls.crt"], made[0]["tls.key"]) if made else None

    def _require_issuer(self) -> Authority:
        issuer = self._issuer()
        if issuer is None:
            raise KeyError("issuing CA")
        return issuer

    def _make_issuer(self, order: AuthorityOrder, now: datetime) -> None:
        root = self._root(now)
        lifetime = max(ISSUER_LIFETIME, LIFE_RATIO * self._leaf_lifetime)
        key, serial, leaf = self._random.new_key(), self._serial(), self._leaf_lifetime
        issuer = new_issuer(root, self._federation, key, serial, now, lifetime, leaf_lifetime=leaf)
        ca = certificates_to_pem([root.certificate]).encode()
        self.shelves.authorities.write(order.secret, {**_files(issuer), "ca.crt": ca})

    def _issue(self, shelf: SecretStore, secret: str, request: LeafRequest, now: datetime) -> None:
        issuer, key = self._require_issuer(), self._random.new_key()
        leaf = issue(issuer, request, key.public_key(), self._serial(), now)
        ca = certificates_to_pem([issuer.certificate]).encode()
        chain = certificates_to_pem([leaf]).encode() + ca
        shelf.write(secret, {"tls.crt": chain, "tls.key": private_key_to_pem(key).encode(), "ca.crt": ca})

    def _make_node_key(self, order: NodeKeyOrder) -> None:
        key = self._random.new_key()
        public = public_pem(key).encode()
        self.shelves.nodes.write(order.secret, {"node.key": node_key_to_openssh(key).encode(), "node.pub": public})
        self.shelves.registered.write(order.client, {"node.pub": public})

    def _make_shared(self, order: SharedSecretOrder) -> None:
        self.shelves.shared.write(order.secret, {order.key: self._random.octets(32).hex().encode()})

    def _serial(self) -> int:
        return new_serial(self._random.octets)


def _files(authority: Authority) -> dict[str, bytes]:
    pem = authority.to_pem()
    return {"tls.crt": pem.certificate.encode(), "tls.key": pem.key.encode()}


def _fresh(crl: bytes, now: datetime) -> bool:
    end = x509.load_pem_x509_crl(crl).next_update_utc
    return end is not None and now < end - _CRL_LIFETIME / 2
