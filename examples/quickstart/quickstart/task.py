"""quickstart: A Flower / sklearn app."""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

CLASSES = np.array([0, 1])
FEATURES = 30


def get_model(learning_rate: float) -> SGDClassifier:
    """A logistic regression whose weights can be set before it has seen any data."""
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=learning_rate, alpha=1e-3)
    model.classes_ = CLASSES
    model.coef_ = np.zeros((1, FEATURES))
    model.intercept_ = np.zeros(1)
    return model


def get_model_params(model: SGDClassifier) -> list[np.ndarray]:
    """The model's weights as a list of NumPy arrays."""
    return [model.coef_, model.intercept_]


def set_model_params(model: SGDClassifier, params: list[np.ndarray]) -> SGDClassifier:
    """Put weights into the model."""
    model.coef_, model.intercept_ = (np.array(param, dtype=np.float64) for param in params)
    return model


def load_data(partition_id: int, num_partitions: int):
    """One of ``num_partitions`` equal shares of the data: 80 % to train on, 20 % to test on."""
    features, labels = load_breast_cancer(return_X_y=True)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    order = np.random.default_rng(42).permutation(len(labels))
    own = np.array_split(order, num_partitions)[partition_id]
    return train_test_split(features[own], labels[own], test_size=0.2, random_state=42)


def train(model: SGDClassifier, features, labels, epochs: int) -> float:
    """Train the model on the training set; returns the loss."""
    for _ in range(epochs):
        model.partial_fit(features, labels, classes=CLASSES)
    return float(log_loss(labels, model.predict_proba(features), labels=CLASSES))


def test(model: SGDClassifier, features, labels) -> tuple[float, float]:
    """Loss and accuracy on the test set."""
    loss = float(log_loss(labels, model.predict_proba(features), labels=CLASSES))
    return loss, float(model.score(features, labels))
