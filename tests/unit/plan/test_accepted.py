"""The record of the accepted spec: all of it, the same each time, and read by the parser of every spec."""

import json

import pytest
from kubernetes.client import V1ConfigMap, V1StatefulSet

from shieldwall.control.api.parse import parse_training
from shieldwall.control.plan.accepted import SPEC_DIGEST, SPEC_FILE, digest_of, spec_text

from .test_golden import RICH


@pytest.mark.parametrize("spec", [{}, RICH], ids=["small", "rich"])
def test_what_is_recorded_is_read_back_as_it_was(new_training, spec):
    training = new_training(spec)
    text = spec_text(training.spec)
    document = {"apiVersion": "shieldwall.dev/v1alpha1", "kind": "FederatedTraining", "metadata": {"name": "digits"}}
    again = parse_training(document | {"spec": json.loads(text)})
    assert again.spec == training.spec
    assert spec_text(again.spec) == text


def test_both_stateful_sets_vouch_for_the_record(new_training, complete):
    objects = complete(new_training(RICH)).objects
    (record,) = (each for each in objects if isinstance(each, V1ConfigMap) and SPEC_FILE in each.data)
    vouched = [each.metadata.annotations[SPEC_DIGEST] for each in objects if isinstance(each, V1StatefulSet)]
    assert vouched == [digest_of(record.data[SPEC_FILE])] * 2


def test_another_spec_starts_no_pod_again_by_its_digest_alone(new_training, complete):
    def pods(spec):
        return [each.spec.template for each in complete(new_training(spec)).objects if isinstance(each, V1StatefulSet)]

    assert pods({"identity": {"certificateTTL": "48h"}}) == pods({})
