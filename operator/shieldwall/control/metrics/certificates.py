"""When certificates and revocation lists end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

from shieldwall.control.metrics.seen import OF_TRAINING
from shieldwall.control.plan.certificates import subjects_of
from shieldwall.control.plan.names import Names
from shieldwall.pki.crl import next_update
from shieldwall.pki.renewal import renewal_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cryptography import x509
    from prometheus_client.core import Metric

    from shieldwall.control.cluster.store import Key
    from shieldwall.control.metrics.seen import Seen
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
        sight = training.sight or training.last
        if sight is None:
            continue
        for subject, certificate in _by_subject(sight).items():
            ends.add_metric([*key, subject], certificate.not_valid_after_utc.timestamp())
            renewals.add_metric([*key, subject], renewal_time(certificate).timestamp())
        root, trust = sight.observed.root, sight.observed.trust
        if root is not None:  # never renewed by the operator
            ends.add_metric([*key, "root"], root.not_valid_after_utc.timestamp())
        if trust is not None and (end := next_update(trust.crl)) is not None:
            lists.add_metric(key, end.timestamp())
    yield from (ends, renewals, lists)


def _by_subject(sight: Sight) -> dict[str, x509.Certificate]:
    """The leaves, and the issuing CA as ``issuer``."""
    subjects = subjects_of(sight.training, Names(sight.training.name))
    found = {subjects[name]: leaf for name, leaf in sight.observed.leaves.items() if name in subjects}
    if sight.observed.issuer is not None:
        found["issuer"] = sight.observed.issuer
    return found
