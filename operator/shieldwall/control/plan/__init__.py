"""From a training and what is observed to Kubernetes objects and orders, as a pure function."""

from shieldwall.control.plan.build import build_plan
from shieldwall.control.plan.settings import PlanSettings

__all__ = ["PlanSettings", "build_plan"]
