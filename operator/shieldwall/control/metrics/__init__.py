"""The operator's Prometheus metrics. Base units; a training's series go when it goes."""

from shieldwall.control.metrics.registry import Metrics

__all__ = ["Metrics"]
