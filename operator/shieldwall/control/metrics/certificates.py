"""When certificates and revocation lists end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

from shieldwall.control.metrics.seen import OF_TRAINING
from shieldwall.control.plan.certificates import subject_of, subjects_of
from shieldwall.control.plan.names import Names
from shieldwall.pki.crl import next_update
from shieldwall.pki.renewal import renewal_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cryptography import x509
    from prometheus_client.core import Metric

    from shieldwall.control.cluster.store import Key
    from shieldwall.control.metrics.seen import Seen
    from shieldwall.control.plan.orders import Observed
    from shieldwall.control.status.sight import Sight


def certificates(seen: Mapping[Key, Seen]) -> Iterator[Metric]:
    """Of what exists, whether it is in use or not."""
    of_certificate = [*OF_TRAINING, "subject"]
    ends = GaugeMetricFamily(
        "shieldwall_certificate_not_after_timestamp_seconds", "When a certificate ends.", labels=of_certificate
    )
    renewals = GaugeMetricFamily(
        "shieldwall_certificate_renewal_timestamp_seconds",
        "When a certificate is due for renewal.",
        labels=of_certificate,
    )
    lists = GaugeMetricFamily("shieldwall_crl_next_update_timestamp_seconds", "When the CRL ends.", labels=OF_TRAINING)
    for key, training in seen.items():
        observed = training.sight.observed if training.sight is not None else training.remains
        if observed is None:
            continue
        for subject, certificate in _by_subject(key[1], training.sight, observed).items():
            ends.add_metric([*key, subject], certificate.not_valid_after_utc.timestamp())
            renewals.add_metric([*key, subject], renewal_time(certificate).timestamp())
        root, trust = observed.root, observed.trust
        if root is not None:  # never renewed by the operator
            ends.add_metric([*key, "root"], root.not_valid_after_utc.timestamp())
        if trust is not None and (end := next_update(trust.crl)) is not None:
            lists.add_metric(key, end.timestamp())
    yield from (ends, renewals, lists)


def _by_subject(name: str, sight: Sight | None, observed: Observed) -> dict[str, x509.Certificate]:
    """The leaves, those of the spec where one can be read, and the issuing CA as ``issuer``."""
    names = Names(name)
    subjects = subjects_of(sight.training, names) if sight is not None else {}
    found = {}
    for secret, leaf in observed.leaves.items():
        subject = subjects.get(secret) if sight is not None else subject_of(names, secret)
        if subject is not None:
            found[subject] = leaf
    if observed.issuer is not None:
        found["issuer"] = observed.issuer
    return found
