"""The HTTP paths between the pods. Each listener of the server's proxy lets through one prefix of ours.

| prefix            | listener | who                | where to            |
|-------------------|----------|--------------------|---------------------|
| ``/v1/fleet/``    | fleet    | clients            | SuperLink, gated    |
| ``/v1/signer/``   | fleet    | signers, SuperNodes| steward, gated      |
| ``/v1/runtime/``  | runtime  | aggregator         | SuperLink           |
| ``/v1/rounds/``   | runtime  | aggregator         | steward             |
| ``/v1/operator/`` | steward  | operator           | steward             |
"""

from typing import Final

FLEET_PREFIX: Final = "/v1/fleet/"
FLEET_PUSH_MESSAGES: Final = "/v1/fleet/push-messages"
FLEET_CALLS: Final = (
    "/v1/fleet/activate-node",
    "/v1/fleet/deactivate-node",
    "/v1/fleet/send-node-heartbeat",
    "/v1/fleet/pull-messages",
    FLEET_PUSH_MESSAGES,
    "/v1/fleet/get-run",
    "/v1/fleet/get-fab",
    "/v1/fleet/push-object",
    "/v1/fleet/pull-object",
    "/v1/fleet/confirm-message-received",
)
"""All that a SuperNode of Flower 1.41 with a node key ever calls; nothing else below the prefix is let through."""
RUNTIME_PREFIX: Final = "/v1/runtime/"
CONTROL_PREFIX: Final = "/v1/control/"

SIGNER_PREFIX: Final = "/v1/signer/"
SIGNER_OPEN_ROUND: Final = "/v1/signer/open-round"
"""GET: the OpenRound a client may sign for now, or 404."""
SIGNER_NODE: Final = "/v1/signer/node"
"""GET: the RegisteredNode of the client that asks, or 503 while the SuperLink does not have its key."""

ROUNDS_PREFIX: Final = "/v1/rounds/"
ROUNDS_OPEN: Final = "/v1/rounds/open"
"""POST OpenRound: the aggregator opens a round; answers RoundGrant. 409 if the run is not the current one."""
ROUNDS_CLOSE: Final = "/v1/rounds/close"
"""POST RoundRecord: the aggregator closes a round with what became of each reply; answers 204."""

OPERATOR_PREFIX: Final = "/v1/operator/"
OPERATOR_STATUS: Final = "/v1/operator/status"
"""GET: StewardStatus."""
OPERATOR_ROUNDS: Final = "/v1/operator/rounds"
"""GET ?after=<index>: the RoundRecords from that index on, as a JSON list, at most 500."""
OPERATOR_DENY: Final = "/v1/operator/deny"
"""PUT DenyList: replaces the deny list; in force for the very next request. Answers 204."""
OPERATOR_REINSTATE: Final = "/v1/operator/reinstate"
"""PUT Reinstatements: ends the bans that contribution brought on; each request counts once. Answers 204."""

AUTHZ_PREFIX: Final = "/authz"
"""What the proxy puts before the path of a request when it asks the gate (never routed from outside)."""
HEALTH_STEWARD: Final = "/healthz/steward"
HEALTH_SUPERLINK: Final = "/healthz/superlink"
METRICS_STEWARD: Final = "/metrics"

CLIENT_HEADER: Final = "x-shieldwall-client"
"""Set by the gate: the SPIFFE id that a request was let through for. Removed from whatever comes from outside."""
LEAF_FAILURES_HEADER: Final = "x-shieldwall-leaf-failures"
"""Set by a client's signer, on its word: how often it found a leaf that it cannot use, and kept the one before."""
NODE_KEY_HEADER: Final = "flwr-public-key"
"""Flower's own header: base64 of the node's public key (SubjectPublicKeyInfo PEM)."""
