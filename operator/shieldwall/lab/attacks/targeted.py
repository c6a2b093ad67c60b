"""Attacks that want one thing of the model: a trigger that names a class. Their training is on poisoned data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shieldwall.lab.attacks.view import Lies, View, norms, scaled_to

if TYPE_CHECKING:
    from shieldwall.lab.attacks.view import Matrix


def as_trained(view: View) -> Lies:
    """What training on the poisoned data gave, unchanged.

    Backdoor: Gu 2017, BadNets (arXiv:1708.06733), in a federation Bagdasaryan 2020 (arXiv:1807.00459). Wrong labels:
    Biggio 2012 (arXiv:1206.6389), in a federation Tolpegin 2020 (arXiv:2007.08432).
    """
    return Lies(view.own)


def model_replacement(view: View) -> Lies:
    """The backdoored update n/f-fold, so that the mean of all is the backdoored model.

    Source: Bagdasaryan 2020, "How to Backdoor Federated Learning" (arXiv:1807.00459), equation 3.
    """
    return Lies(_boosted(view))


def model_replacement_fitted(view: View) -> Lies:
    """The same, no longer than the longest honest update, so that no bound on norms sees it.

    Source: Bagdasaryan 2020 (arXiv:1807.00459), constrain-and-scale; Sun 2019 (arXiv:1911.07963), section 4.
    """
    limit = float(norms(view.honest).max())
    lies = _boosted(view)
    return Lies(np.stack([row if np.linalg.norm(row) <= limit else scaled_to(row, limit) for row in lies]))


def _boosted(view: View) -> Matrix:
    return view.own * (view.total / view.attackers)
