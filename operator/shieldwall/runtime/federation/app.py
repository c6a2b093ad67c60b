"""What the user's app gives to a managed training: a model to begin with, and a way to measure one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from flwr.app import ArrayRecord

from shieldwall.runtime.flower.references import load
from shieldwall.runtime.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable

    from shieldwall.contract.policy import AppPolicy, ConfigValue


class UnusableModelError(TypeError):
    """``spec.app.model`` returned something that is not a model."""

    def __init__(self, found: object) -> None:
        super().__init__(
            "spec.app.model must return a flwr ArrayRecord or a dict of NumPy arrays by name, "
            f"not {type(found).__name__}"
        )


@dataclass(frozen=True, slots=True)
class ManagedApp:
    """The two functions, as the policy names them."""

    initial: Callable[[dict[str, ConfigValue]], object]
    measure: Callable[[dict[str, Any], dict[str, ConfigValue]], object] | None
    config: dict[str, ConfigValue]

    @classmethod
    def load(cls, policy: AppPolicy) -> ManagedApp:
        """Import what the policy names; raises ReferenceNotFoundError."""
        initial = load("model", policy.model or "")
        return cls(initial, load("evaluate", policy.evaluate) if policy.evaluate else None, dict(policy.config))

    def initial_model(self) -> Model:
        """The model of round 0; raises UnusableModelError, InvalidModelError."""
        found = self.initial(dict(self.config))
        if isinstance(found, ArrayRecord):
            return Model.of({name: array.numpy() for name, array in found.items()})
        if isinstance(found, Mapping) and all(isinstance(array, np.ndarray) for array in found.values()):
            return Model.of({str(name): array for name, array in found.items()})
        raise UnusableModelError(found)

    def evaluate(self, model: Model, log: Callable[[str], None]) -> dict[str, float]:
        """What the user measures of ``model``: finite numbers by name.

        A measure that fails is told and costs the numbers, not the round.
        """
        if self.measure is None:
            return {}
        try:
            found = self.measure({name: array.copy() for name, array in model.arrays.items()}, dict(self.config))
        except Exception as error:  # noqa: BLE001  # the user's code may raise anything
            log(f"spec.app.evaluate failed: {type(error).__name__}: {error}")
            return {}
        if not isinstance(found, Mapping):
            log(f"spec.app.evaluate must return numbers by name, not {type(found).__name__}")
            return {}
        return {str(name): float(value) for name, value in found.items() if _is_number(value)}


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
