"""From a client's update to its images: gradient inversion, for the network with one hidden layer.

Both attacks see one update of one step, know the model it was taken from, and ask for nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.optimize import minimize

from shieldwall.lab.tasks import CLASSES, Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shieldwall.lab.privacy.learners import Classes, Vector

    Matrix = NDArray[np.float64]

_STEPS: Final = 400
_LARGEST: Final = 1e8
"""Of an image's values before they are held within [0, 1]."""


def single_image(gradient: Vector) -> NDArray[np.float64]:
    """The image behind the gradient of one record, (p,), by a closed form; any positive factor may be on it.

    The first layer's gradient is x·δᵀ and its bias's is δ, so both together are (x, 1)·δᵀ, of rank one: the quotient of
    weight and bias gives x exactly (Phong et al. 2018, doi:10.1109/TIFS.2017.2787987; Geiping 2020, arXiv:2003.14053,
    Proposition 3.1). Under Gaussian noise the first singular vector is the likeliest (x, 1).
    """
    layer = Network.of(gradient.astype(np.float64))
    left, _, _ = np.linalg.svd(np.vstack([layer.hidden_weight, layer.hidden_bias]), full_matrices=False)
    image, one = left[:-1, 0], left[-1, 0]
    scale = one if abs(one) > 1 / _LARGEST else np.copysign(1 / _LARGEST, one)
    held: NDArray[np.float64] = np.clip(image / scale, 0.0, 1.0)
    return held


def likely_classes(gradient: Vector, count: int) -> Classes:
    """The classes of a batch's records, (count,), by the last bias's gradient: the mean of p − y.

    The lowest entry is a class that is there, and its record took 1/count off it (Zhao 2020, arXiv:2001.02610, for one
    record; Wainakh 2021, arXiv:2105.09369, for batches).
    """
    left, found = Network.of(gradient.astype(np.float64)).out_bias.copy(), []
    for _ in range(count):
        found.append(int(left.argmin()))
        left[found[-1]] += 1.0 / count
    return np.array(found, np.int64)


def batch_images(gradient: Vector, parameters: Vector, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Images whose mean gradient is nearest to ``gradient``, (count, p), by L-BFGS from a random start.

    Deep leakage from gradients (Zhu 2019, arXiv:1906.08935) with classes found as by iDLG (arXiv:2001.02610).
    """
    network = Network.of(parameters.astype(np.float64))
    wanted = Network.of(gradient.astype(np.float64))
    right = np.eye(CLASSES)[likely_classes(gradient, count)]
    pixels = network.hidden_weight.shape[0]
    scale = max(float(np.square(gradient.astype(np.float64)).sum()), 1e-30)

    def apart(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, slope = mismatch(flat.reshape(count, pixels), right, network, wanted)
        return value / scale, slope.reshape(-1) / scale

    start = rng.uniform(0.0, 1.0, count * pixels)
    found = minimize(
        apart, start, jac=True, method="L-BFGS-B", bounds=[(0.0, 1.0)] * len(start), options={"maxiter": _STEPS}
    )
    images: NDArray[np.float64] = found.x.reshape(count, pixels)
    return images


def mismatch(images: Matrix, right: Matrix, network: Network, wanted: Network) -> tuple[float, Matrix]:
    """Half the squared distance of the images' mean gradient from ``wanted``, and its gradient by the images, (n, p).

    ``right``: (n, CLASSES), one-hot. Written out backwards, for tanh: φ' = 1 − φ², φ'' = −2φφ'.
    """
    count = len(images)
    hidden = np.tanh(images @ network.hidden_weight + network.hidden_bias)
    slope = 1 - hidden**2
    named = _softmax(hidden @ network.out_weight + network.out_bias)
    errors = (named - right) / count
    sent = errors @ network.out_weight.T
    back = sent * slope

    first = images.T @ back - wanted.hidden_weight
    first_bias = back.sum(axis=0) - wanted.hidden_bias
    second = hidden.T @ errors - wanted.out_weight
    second_bias = errors.sum(axis=0) - wanted.out_bias
    value = sum(float(np.square(part).sum()) for part in (first, first_bias, second, second_bias)) / 2

    by_back = images @ first + first_bias
    by_errors = hidden @ second + second_bias + (by_back * slope) @ network.out_weight
    weighed = by_errors * named / count
    by_logits = weighed - named * weighed.sum(axis=1, keepdims=True)
    by_hidden = errors @ second.T + by_logits @ network.out_weight.T
    by_sum = by_hidden * slope - 2 * hidden * slope * sent * by_back
    return value, back @ first.T + by_sum @ network.hidden_weight.T


def _softmax(logits: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[Any] = powers / powers.sum(axis=1, keepdims=True)
    return shares
