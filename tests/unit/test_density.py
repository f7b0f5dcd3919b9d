"""Density and mean of membranes, however they lie in memory."""

import numpy as np
import pytest

from livesnn.infer.model import density_and_mean


@pytest.mark.parametrize("order", ["C", "F"])
def test_shares_and_means_are_numpys(order: str) -> None:
    random = np.random.default_rng(0)
    plane = np.asarray(random.normal(0, 1, (3, 5, 7)).astype(np.float32), order=order)  # type: ignore[call-overload]
    output = random.normal(0, 1, 4).astype(np.float32)
    density, mean = density_and_mean((plane, output), 0.5)
    np.testing.assert_allclose(density, [(u >= 0.5).mean() for u in (plane, output)])
    np.testing.assert_allclose(mean, [plane.mean(), output.mean()], rtol=1e-5)


def test_a_neuron_at_the_threshold_spiked_and_a_read_only_state_will_do() -> None:
    u = np.array([0.5, 0.4999, 0.6, 0.0], np.float32)
    u.flags.writeable = False
    density, mean = density_and_mean((u,), 0.5)
    assert density.tolist() == [0.5]
    assert mean.dtype == np.float32
