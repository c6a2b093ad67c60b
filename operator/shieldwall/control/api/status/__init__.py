"""status: what the operator has observed. At most about 20 KiB, whatever the number of clients.

Lists hold the few worst or next entries, never all clients. Times are RFC 3339.
"""

from shieldwall.control.api.status.clients import WORST_CLIENTS, ClientReport, ClientsStatus
from shieldwall.control.api.status.condition import Condition, ConditionStatus
from shieldwall.control.api.status.pki import WORST_CERTIFICATES, CertificateReport, Deadline, PkiStatus, RenewalRequest
from shieldwall.control.api.status.security import Check, CheckState, SecurityStatus
from shieldwall.control.api.status.training import (
    FederatedTrainingStatus,
    ModelStatus,
    PrivacyStatus,
    Summary,
)

__all__ = [
    "WORST_CERTIFICATES",
    "WORST_CLIENTS",
    "CertificateReport",
    "Check",
    "CheckState",
    "ClientReport",
    "ClientsStatus",
    "Condition",
    "ConditionStatus",
    "Deadline",
    "FederatedTrainingStatus",
    "ModelStatus",
    "PkiStatus",
    "PrivacyStatus",
    "RenewalRequest",
    "SecurityStatus",
    "Summary",
]
