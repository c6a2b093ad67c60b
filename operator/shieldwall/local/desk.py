"""Fills the orders of a plan: keys, certificates and random secrets, kept in a directory of this machine."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shieldwall.control.issuing.contents import (
    authority_files,
    certificate_files,
    node_key_files,
    root_files,
    shared_secret_files,
)
from shieldwall.control.issuing.trust import trust_of
from shieldwall.control.plan.orders import Observed, Trust
from shieldwall.local.store import SecretStore
from shieldwall.pki.authority import Authority, federation_of
from shieldwall.pki.leaf import LeafRequest
from shieldwall.pki.pem import certificates_from_pem
from shieldwall.pki.renewal import renewal_time
from shieldwall.pki.verify import dns_names_of, identity_of

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from cryptography import x509

    from shieldwall.contract.identity import Federation
    from shieldwall.control.issuing.randomness import Randomness
    from shieldwall.control.plan.orders import AuthorityOrder, NodeKeyOrder, Plan, SharedSecretOrder

_ROOT: Final = "root"
_OPERATOR: Final = "operator"
_TRUST: Final = "trust"
_RENEWED_FOR: Final = "renewed-for"
"""In a leaf's directory: the request for renewal that it answers, an annotation in a cluster."""
_OPERATOR_LIFETIME: Final = timedelta(hours=24)


class ForeignDirectoryError(ValueError):
    """A kept directory belongs to another training; ``owner`` is its identities' prefix."""

    def __init__(self, owner: str, wanted: str) -> None:
        super().__init__(f"The directory holds the secrets of {owner}, not of {wanted}. Choose another one.")
        self.owner = owner


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
        leaves = {name: _without_request(content) for name, content in self.leaves.all().items()}
        return leaves | self.nodes.all() | self.shared.all()


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
        leaves = self.shelves.leaves.all()
        return Observed(
            trust=self._published(),
            issuer=issuer.certificate if issuer is not None else None,
            leaves=self.leaves(),
            node_keys={client: each["node.pub"].decode() for client, each in self.shelves.registered.all().items()},
            shared_secrets=frozenset(self.shelves.shared.names()),
            renewals={name: each.get(_RENEWED_FOR, b"").decode() for name, each in leaves.items()},
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
            request = LeafRequest(order.identity, order.dns_names, order.lifetime)
            self._issue_leaf(order.secret, request, order.request, now)
        for node in plan.node_keys:
            self._make_node_key(node)
        for shared in plan.shared_secrets:
            self._make_shared(shared)

    def renew(self, secret: str, now: datetime) -> None:
        """Issue a leaf anew, with a new key; raises KeyError when there is none."""
        leaf = self.leaves()[secret]
        names = tuple(sorted(dns_names_of(leaf)))
        stamp = self.observe().renewals[secret]
        self._issue_leaf(secret, LeafRequest(identity_of(leaf), names, self._leaf_lifetime), stamp, now)

    def operator_leaf(self, now: datetime) -> Path:
        """The directory of this program's own leaf (``tls.crt``, ``tls.key``), issued anew when it is due."""
        content = self.shelves.own.read(_OPERATOR)
        if content is None or now >= renewal_time(certificates_from_pem(content["tls.crt"])[0]):
            request = LeafRequest(self._federation.operator(), (), _OPERATOR_LIFETIME)
            self.shelves.own.write(_OPERATOR, certificate_files(self._require_issuer(), request, now, self._random))
        return self.shelves.own.path(_OPERATOR)

    @property
    def trust(self) -> Path:
        """The directory of ``ca.crt`` and ``ca.crl``."""
        return self.shelves.trust.path(_TRUST)

    def refresh_crl(self, now: datetime) -> bool:
        """Issue the list of revoked certificates when there is none or half its life is over; says whether it did."""
        current = self._published()
        trust = trust_of(self._require_issuer(), current, now)
        if trust is current:
            return False
        self.shelves.trust.write(_TRUST, {"ca.crt": trust.ca.encode(), "ca.crl": trust.crl.encode()})
        return True

    def _published(self) -> Trust | None:
        content = self.shelves.trust.read(_TRUST)
        return Trust(content["ca.crt"].decode(), content["ca.crl"].decode()) if content is not None else None

    def _root(self, now: datetime) -> Authority:
        content = self.shelves.authorities.read(_ROOT)
        if content is None:
            content = root_files("Shieldwall on this machine", now, self._random)
            self.shelves.authorities.write(_ROOT, content)
        return Authority.from_pem(content["tls.crt"], content["tls.key"])

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
        files = authority_files(self._root(now), self._federation, self._leaf_lifetime, now, self._random)
        self.shelves.authorities.write(order.secret, files)

    def _issue_leaf(self, secret: str, request: LeafRequest, answers: str, now: datetime) -> None:
        files = certificate_files(self._require_issuer(), request, now, self._random)
        self.shelves.leaves.write(secret, {**files, _RENEWED_FOR: answers.encode()})

    def _make_node_key(self, order: NodeKeyOrder) -> None:
        files = node_key_files(self._random)
        self.shelves.nodes.write(order.secret, files)
        self.shelves.registered.write(order.client, {"node.pub": files["node.pub"]})

    def _make_shared(self, order: SharedSecretOrder) -> None:
        self.shelves.shared.write(order.secret, shared_secret_files(order, self._random))


def _without_request(content: dict[str, bytes]) -> dict[str, bytes]:
    return {name: each for name, each in content.items() if name != _RENEWED_FOR}
