"""The ports of the pods. Ports, not paths, tell roles apart first: the wrong role fails in the handshake."""

from typing import Final

FLEET: Final = 9443
"""Server pod, mTLS: clients only."""
STEWARD: Final = 9444
"""Server pod, mTLS: the operator only."""
RUNTIME: Final = 9445
"""Server pod, mTLS: the aggregator only."""
METRICS: Final = 9901
"""Every pod, plain: readiness and Prometheus metrics of the proxy (and, in the server pod, of the steward)."""

SUPERLINK: Final = 8000
"""Server pod, loopback: Flower's SuperLink behind the proxy."""
PROXY: Final = 8443
"""Client and aggregator pods, loopback: the proxy's way out to the server."""
SUPERNODE: Final = 9094
"""Client pod, loopback: the SuperNode's Runtime API, which the trainer asks for work."""
