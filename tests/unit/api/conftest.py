import copy

import pytest

DOCUMENT = {
    "apiVersion": "shieldwall.dev/v1alpha1",
    "kind": "FederatedTraining",
    "metadata": {"name": "digits", "namespace": "fed"},
    "spec": {
        "app": {
            "image": "registry.example/digits:1.4",
            "clientApp": "digits.client_app:app",
            "model": "digits.task:initial_arrays",
            "config": {"lr": 0.1, "local-epochs": 2},
        },
        "rounds": {"count": 30},
        "clients": [{"name": f"site-{number}"} for number in range(10)],
    },
}


@pytest.fixture
def document():
    """A small valid training with ten clients, to be changed at will."""
    return copy.deepcopy(DOCUMENT)
