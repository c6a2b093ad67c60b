"""A ClientApp in this process, once for each client, with the privacy that its trainer would see to."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flwr.app import Context, Message, RecordDict
from flwr.app.error import Error

from shieldwall.lab.grid import RUN_ID
from shieldwall.runtime.clientapp import check_model
from shieldwall.runtime.privacy.client import answer
from shieldwall.runtime.privacy.mechanism import os_generator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from shieldwall.contract.policy import ConfigValue
    from shieldwall.contract.privacy import PrivacyPolicy
    from shieldwall.lab.attacks import Poison
    from shieldwall.lab.grid import Asked

_APP_RAISED = 0
"""Flower's own code for an error of unknown kind."""


@dataclass(slots=True)
class AppCohort:
    """Calls ``apps`` (by what is done to the data; None: nothing), each client with a Context of its own."""

    apps: Mapping[Poison | None, Callable[[Message, Context], Message]]
    poison: Mapping[str, Poison]
    """By client, of those that train on poisoned data."""
    config: Mapping[str, ConfigValue]
    """The run's configuration."""
    clients: Sequence[str]
    """In the training's order: a client's place is its partition."""
    node_config: Mapping[str, Mapping[str, ConfigValue]] = field(default_factory=dict)
    privacy: PrivacyPolicy | None = None
    """As in the policy of the clients' pods."""
    generator: np.random.Generator = field(default_factory=os_generator)
    """Of clients' noise."""
    _contexts: dict[str, Context] = field(default_factory=dict)

    def answer(self, asked: Sequence[Asked]) -> list[Message]:
        """See Cohort."""
        return [self._one(each) for each in asked]

    def _one(self, each: Asked) -> Message:
        question = each.message
        # Over the network everybody gets a message of its own; here the records of all are the same objects.
        question.content = RecordDict({name: deepcopy(record) for name, record in question.content.items()})
        app = self.apps[self.poison.get(each.member.name)]
        try:
            check_model(question, each.facts)
            return answer(app, question, self._context(each), self.privacy, self.generator)
        except Exception as error:  # noqa: BLE001  # as a SuperNode does: whatever the app raises is an error reply
            return Message(Error(_APP_RAISED, f"{type(error).__name__}: {error}"), reply_to=question)

    def _context(self, each: Asked) -> Context:
        name = each.member.name
        if name not in self._contexts:
            node_config: dict[str, ConfigValue] = {
                "partition-id": self.clients.index(name),
                "num-partitions": len(self.clients),
                **self.node_config.get(name, {}),
            }
            self._contexts[name] = Context(RUN_ID, each.member.node_id, node_config, RecordDict(), dict(self.config))
        return self._contexts[name]
