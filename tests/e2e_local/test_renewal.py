"""A leaf that is renewed while the real Envoy runs."""

import datetime as dt
import os
import ssl

import pytest
from cryptography import x509

from shieldwall.cli.training_file import read_training
from shieldwall.contract import ports
from shieldwall.control.issuing.randomness import Randomness
from shieldwall.local.cluster.addresses import reserve
from shieldwall.local.cluster.containers import base_environment
from shieldwall.local.cluster.kubelet import Site, kubelet
from shieldwall.local.cluster.templates import pod_templates
from shieldwall.local.cluster.users import choose
from shieldwall.local.desk import Desk, Shelves
from shieldwall.local.layout import laid_out
from shieldwall.local.planner import Planner, federation_of, leaf_lifetime, local_settings
from shieldwall.local.stages import split

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def served_serial(address):
    """The serial of the certificate that the fleet port shows."""
    pem = ssl.get_server_certificate((address, ports.FLEET), timeout=10)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


async def test_envoy_serves_a_renewed_leaf_without_a_restart(training, tmp_path):
    wanted = read_training(training)
    with reserve(os.getpid()) as block, laid_out(tmp_path / "results", None) as layout:
        base = base_environment(training.parent, os.environ)
        users = choose(block.index, (training.parent,), (layout.state, layout.scratch), base)
        desk = Desk(Shelves(layout.secrets), federation_of(wanted), leaf_lifetime(wanted), Randomness())
        planner = Planner(wanted, local_settings(), desk, protected=True)
        plan = planner.plan(dt.datetime.now(dt.UTC))
        server, _, _ = split(pod_templates(plan.objects))
        site = Site(block, users, layout.directories(training.parent), layout.scratch, layout.logs, base)
        async with kubelet(site) as pods:
            pod = pods.add(server, planner.contents(plan), dt.datetime.now(dt.UTC))
            await pods.bell.until(lambda: pod.ready)
            address = pods.address(server.name)
            (secret,) = [name for name in desk.leaves() if name.endswith("-server-tls")]
            assert served_serial(address) == desk.leaves()[secret].serial_number
            desk.renew(secret, dt.datetime.now(dt.UTC))
            assert pods.sync(planner.contents(plan), dt.datetime.now(dt.UTC)) == [f"{server.name}/tls"]
            while served_serial(address) != desk.leaves()[secret].serial_number:
                pass  # the test's time-out is the deadline
            assert pod.restarts == 0
