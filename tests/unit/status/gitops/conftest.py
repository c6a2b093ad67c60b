"""Trainings as the API server holds them, with statuses that were summarised from Sights."""

import datetime as dt

import pytest

from shieldwall.contract.records import Phase
from shieldwall.control.plan.orders import Observed
from shieldwall.control.status.sight import Trouble, Workload
from shieldwall.control.status.stalled import stalled_status
from shieldwall.control.status.summarise import summarise

PAUSED = {"shieldwall.dev/paused": "true"}
SUSPENDED = {"suspend": True}


class Shelf:
    """Objects by what has become of the training."""

    def __init__(self, world, dumped):
        self._world, self._dumped = world, dumped

    def live(self, status, *, annotations=None, generation=1, **metadata):
        """The object with ``status``; its spec is at ``generation``."""
        document = self._dumped(status) if status is not None else None
        head = {"name": "digits", "namespace": "fed", "generation": generation, "annotations": annotations or {}}
        return {"metadata": head | metadata, "spec": {}} | ({"status": document} if document is not None else {})

    def status(self, training=None, **facts):
        return summarise(self._world.sight(training, **facts))

    def at(self, phase, message="It ended badly."):
        world, training = self._world, self._world.training()
        status = {"phase": phase, "message": message}
        return self.live(self.status(steward=world.steward(training, world.observed(training), status=status)))

    def unseen(self):
        return self.live(None)

    def starting(self):
        return self.live(self.status(observed=Observed(), steward=None, workloads={}))

    def waiting(self):
        return self.at(Phase.WAITING)

    def training(self):
        return self.at(Phase.TRAINING)

    def completed(self):
        return self.at(Phase.COMPLETED)

    def failed(self):
        return self.at(Phase.FAILED)

    def unreachable(self):
        world, training = self._world, self._world.training()
        steward = world.steward(training, world.observed(training), reachable=False)
        return self.live(self.status(training, steward=steward, now=world.now + dt.timedelta(minutes=2)))

    def foreign(self):
        return self.live(self.status(trouble=Trouble("ForeignObject", "Service digits-server is not ours.")))

    def invalid(self):
        return self.live(stalled_status(None, 1, Trouble("InvalidSpec", "spec.rounds is missing."), self._world.now))

    def retrying(self):
        return self.live(self.status(retrying=Trouble("ApiError", "Conflict."), previous=self.status()))

    def changed(self):
        return self.live(self.status(), generation=2)

    def corrected(self):
        return self.live(self.status(trouble=Trouble("ForeignObject", "Not ours.")), generation=2)

    def rolling(self):
        training = self._world.training()
        workloads = self._world.workloads(training, **{"digits-server": Workload(1, 1, current=False)})
        return self.live(self.status(training, workloads=workloads))

    def suspending(self):
        training = self._world.training(spec=SUSPENDED)
        workloads = self._world.workloads(training, **{"digits-server": Workload(0, 1, current=True)})
        return self.live(self.status(training, workloads=workloads))

    def suspended(self):
        return self.live(self.status(self._world.training(spec=SUSPENDED)))

    def paused(self):
        training = self._world.training(annotations=PAUSED)
        return self.live(self.status(training, previous=self.status()), annotations=PAUSED)

    def paused_in_capitals(self):
        return self._paused_by("TRUE")

    def paused_in_other_words(self):
        return self._paused_by("yes")

    def _paused_by(self, word):
        annotations = {"shieldwall.dev/paused": word}
        training = self._world.training(annotations=annotations)
        return self.live(self.status(training, previous=self.status()), annotations=annotations)

    def paused_and_changed(self):
        training = self._world.training(annotations=PAUSED, generation=2)
        return self.live(self.status(training, previous=self.status()), annotations=PAUSED, generation=2)

    def deleted(self):
        return self.live(self.status(), deletionTimestamp="2026-03-01T12:00:00Z")


@pytest.fixture
def shelf(world, dumped):
    return Shelf(world, dumped)
