"""spec.app: the user's Flower app and the image it is installed in."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shieldwall.control.api.fields import IMAGE, ApiModel, ObjectName, Reference, Scalar


class PullPolicy(StrEnum):
    """When a node fetches the image, in Kubernetes' words."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class PullSecret(ApiModel):
    """A Secret of type kubernetes.io/dockerconfigjson in the training's namespace."""

    name: ObjectName
    """Name of the Secret."""


class App(ApiModel):
    """The user's Flower app."""

    image: Annotated[str, Field(min_length=1, max_length=512, pattern=IMAGE)]
    """Container image that holds the app and shieldwall[runtime]. Name it by digest to pin it."""
    image_pull_policy: PullPolicy = PullPolicy.IF_NOT_PRESENT
    """When nodes fetch the image."""
    image_pull_secrets: Annotated[tuple[PullSecret, ...], Field(max_length=8)] = ()
    """Secrets with which nodes fetch the image."""
    client_app: Reference
    """Import reference of the Flower ClientApp, such as digits.client_app:app."""
    model: Reference | None = None
    """Managed mode: import reference of a function that gives the initial model. Give either this or serverApp."""
    server_app: Reference | None = None
    """Wrapped mode: import reference of the app's own Flower ServerApp. Give either this or model."""
    evaluate: Reference | None = None
    """Managed mode: import reference of a function that scores each released model on the server."""
    config: Annotated[dict[str, Scalar], Field(max_length=128, default_factory=dict)]
    """Flower's run configuration: numbers, texts and truth values by name."""
