"""Which of Flower's own strategies and workflows cannot keep their promise behind the policy's Grid, and why.

A strategy sees one reply for each client, and all of them carry the policy's aggregate. Averages, server optimisers,
medians and selections among equals all come to that aggregate. What needs each client's own update cannot work; it
is refused when it is made, with the reason, rather than run without effect.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from flwr.server.workflow import SecAggPlusWorkflow, SecAggWorkflow
from flwr.serverapp import strategy

from shieldwall.runtime.flower.secure_aggregation import HIDES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shieldwall.contract.policy import Rule


class UnsafeStrategyError(ValueError):
    """The strategy asks for something that cannot be made safe."""


_NOISE: Final = (
    "calibrates its noise for the mean of n clipped updates, and what it gets is the aggregate of the policy's rule,"
    " of another sensitivity: the ε that it names would not hold. Leave the wrapper out; spec.privacy is the place"
    " for differential privacy"
)
REFUSED: Final[dict[type[object], str]] = {
    strategy.DifferentialPrivacyServerSideFixedClipping: _NOISE,
    strategy.DifferentialPrivacyClientSideFixedClipping: _NOISE,
    strategy.DifferentialPrivacyServerSideAdaptiveClipping: _NOISE,
    strategy.DifferentialPrivacyClientSideAdaptiveClipping: _NOISE,
    strategy.FedXgbBagging: "appends every client's trees to the model, and no robust rule is defined on trees",
    strategy.FedXgbCyclic: "takes one client's model as it comes in each round, so that one liar replaces the model",
    strategy.QFedAvg: (
        "weighs each client's own update by its loss, and what it gets is one aggregate for all: its fairness would"
        " be lost without a word. Use FedAvg"
    ),
    SecAggPlusWorkflow: HIDES,
    SecAggWorkflow: HIDES,
}
"""With the name of the policy's rule to be filled in."""


@contextmanager
def refusing(rule: Rule) -> Iterator[None]:
    """While this lasts, making one of REFUSED, or of a class derived from it, raises UnsafeStrategyError."""
    honest = {kind: kind.__dict__.get("__init__") for kind in REFUSED}
    try:
        for kind, reason in REFUSED.items():
            type.__setattr__(kind, "__init__", _refusal(kind, reason.format(rule=rule)))
        yield
    finally:
        for kind, init in honest.items():
            if init is None:
                type.__delattr__(kind, "__init__")
            else:
                type.__setattr__(kind, "__init__", init)


def _refusal(kind: type[object], reason: str) -> Callable[..., None]:
    @wraps(kind.__init__)
    def refuse(*_: Any, **__: Any) -> None:  # noqa: ANN401  # whatever the strategy takes
        raise UnsafeStrategyError(f"{kind.__name__} {reason}.")

    return refuse


def require_message_api(app: object) -> None:
    """Raise UnsafeStrategyError for a ServerApp of Flower's older API, which asks clients one by one."""
    if getattr(app, "_server_fn", None) is not None:
        raise UnsafeStrategyError(
            "A ServerApp made with server_fn asks each client in a round of its own, where there is nobody to compare"
            " it with. Use @app.main() and a strategy of flwr.serverapp.strategy."
        )
