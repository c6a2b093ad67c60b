"""What the API server says no with."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_TOLD: Final = 3


class ApiError(Exception):
    """An answer of 400 or more: ``status`` is the HTTP code, ``reason`` Kubernetes' word for it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def trouble(self) -> str:
        """What a condition and an event call it, in one stable CamelCase word."""
        refused = {HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY}
        return "ObjectRefused" if self.status in refused else "ApiError"

    @property
    def missing(self) -> bool:
        """Whether there is no such object."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def conflict(self) -> bool:
        """Whether somebody else was there first."""
        return self.status == HTTPStatus.CONFLICT

    @property
    def expired(self) -> bool:
        """Whether a list's continuation is too old and has to begin anew."""
        return self.status == HTTPStatus.GONE

    @property
    def terminating(self) -> bool:
        """Whether the namespace is going away, so that nothing can be made in it."""
        return self.status == HTTPStatus.FORBIDDEN and "being terminated" in self.message


class ApiUnreachableError(ConnectionError):
    """The API server did not answer, or did not answer in time; ask again."""


class HeldError(Exception):
    """Work on a training, or on one of its objects, rests until somebody else has done something."""

    reason: str
    """One stable CamelCase word."""


class ForeignObjectError(HeldError):
    """An object has a name that belongs to the training, and another owner or none."""

    reason = "ForeignObject"

    def __init__(self, kind: str, name: str, owner: str | None) -> None:
        whose = f"belongs to {owner}" if owner else "belongs to nobody"
        super().__init__(
            f"{kind} {name} exists already and {whose}; it was not touched. Delete or rename it,"
            " or give the training another name."
        )
        self.kind = kind
        self.name = name
        self.owner = owner


class ForeignClaimError(HeldError):
    """A volume claim that a StatefulSet would take up is not the training's."""

    reason = "ForeignObject"

    def __init__(self, name: str, label: str) -> None:
        super().__init__(
            f"PersistentVolumeClaim {name} exists already without the label {label}: what is in it would become the"
            " training's, so no pod was made. Delete or rename it, label it so if the training is to go on with what"
            " is in it, or give the training another name."
        )
        self.name = name


class LeavingObjectError(HeldError):
    """An object of an earlier training of the same name has not been collected yet; ask again."""

    reason = "Deleting"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name} of an earlier training of this name is still being deleted.")
        self.kind = kind
        self.name = name


class ForeignAuthorityError(HeldError):
    """The Secret of a training's CA holds one that no root of this installation has issued: who has its key?"""

    reason = "ForeignAuthority"

    def __init__(self, name: str, root: str) -> None:
        super().__init__(
            f"Secret {name} holds a CA that the root CA in Secret {root} has not issued; nothing was changed. If that"
            f" root was replaced, restore it, or delete Secret {name}: the training then gets a new CA, and every"
            " client a new certificate. Otherwise find out who wrote it."
        )
        self.name = name
        self.root = root


class OtherOperatorError(HeldError):
    """Another installation of the operator has made the training's CA, and works on the training."""

    reason = "OtherOperator"

    def __init__(self, name: str, installation: str, ours: str) -> None:
        super().__init__(
            f"Secret {name} belongs to the operator with the root CA {installation}, not to that of {ours}; nothing was"
            f" changed. Let only one of them watch this namespace; if that other one has gone, delete Secret {name}."
        )
        self.name = name
        self.installation = installation
        self.ours = ours


class HeldObjectsError(HeldError):
    """Several objects are held up; the reason is that of the first."""

    def __init__(self, errors: Sequence[HeldError]) -> None:
        told = " ".join(str(error) for error in errors[:_TOLD])
        more = f" So it is with {len(errors) - _TOLD} more." if len(errors) > _TOLD else ""
        super().__init__(told + more)
        self.reason = errors[0].reason
        self.errors = tuple(errors)


class ContestedObjectError(HeldError):
    """Somebody undoes what is mended as often as it is mended."""

    reason = "ContestedObject"

    def __init__(self, kind: str, name: str, managers: tuple[str, ...]) -> None:
        """``managers``: the field managers that changed it; none where it was deleted or spoilt."""
        super().__init__(
            f"{kind} {name} was changed back again and again, and is mended once a minute now. Field managers that"
            f" changed it: {', '.join(managers)}. Stop whoever changes it."
            if managers
            else f"{kind} {name} was deleted or spoilt again and again, and is made anew once a minute now. Stop"
            " whoever does that; the API server's audit log names them."
        )
        self.kind = kind
        self.name = name
        self.managers = managers


class UnreadableRootError(HeldError):
    """The Secret of the root CA holds no authority. It is never replaced: every certificate hangs on it."""

    reason = "UnreadableRootCA"

    def __init__(self, namespace: str, name: str) -> None:
        super().__init__(
            f"Secret {namespace}/{name} holds no CA in tls.crt and tls.key. Restore it from a backup. Without one,"
            " delete it: a new root is made; each training with a CA of the old root then keeps it if the operator has"
            " run since it last read that root, and else stalls until its own CA's Secret is deleted too."
        )
