"""Clusters that hypothesis draws: few names, so that selectors meet what they select."""

from __future__ import annotations

from itertools import product

from hypothesis import strategies as st
from unit.e2e_policy.objects import namespace, pod, policy

SPACES = ("a", "b", "c")
KEYS = ("app", "tier")
VALUES = ("x", "y")
ADDRESSES = tuple(f"10.244.0.{last}" for last in range(2, 6))
NODE = "172.18.0.1"
OUTSIDE = ("10.244.0.200", "10.244.1.5", "192.0.2.7", NODE)
PROTOCOLS = ("TCP", "UDP", "SCTP")
NAMES = ("http", "dns")
NUMBERS = (53, 80, 81)
SERVICES = (*product(PROTOCOLS, NUMBERS), ("ICMP", None))

labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))


def sometimes(**optional: st.SearchStrategy) -> st.SearchStrategy:
    return st.fixed_dictionaries({}, optional=optional)


def _expression(key, operator, values):
    return {"key": key, "operator": operator} | ({"values": values} if operator in {"In", "NotIn"} else {})


expressions = st.builds(
    _expression,
    st.sampled_from(KEYS),
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=2),
)
selectors = sometimes(matchLabels=labels, matchExpressions=st.lists(expressions, max_size=2))

blocks = st.sampled_from(
    [
        {"cidr": "0.0.0.0/0"},
        {"cidr": "0.0.0.0/0", "except": ["10.244.0.0/16", "192.0.2.0/24"]},
        {"cidr": "10.244.0.0/24", "except": ["10.244.0.4/30"]},
        {"cidr": "10.244.0.3/30"},
        {"cidr": "10.244.0.4/32", "except": ["10.244.0.4/32"]},
        {"cidr": "172.18.0.1/32"},
        {"cidr": "192.0.2.0/24", "except": ["192.0.2.0/30", "192.0.2.0/31"]},
        {"cidr": "2001:db8::/32"},
    ]
)
peers = st.one_of(
    st.builds(lambda block: {"ipBlock": block}, blocks),
    sometimes(podSelector=selectors, namespaceSelector=selectors).filter(bool),
)


def _port(protocol, number, end):
    port = {} if protocol is None else {"protocol": protocol}
    if number is not None:
        port["port"] = number
        if isinstance(number, int) and end is not None:
            port["endPort"] = number + end
    return port


ports = st.builds(
    _port,
    st.sampled_from([None, *PROTOCOLS]),
    st.sampled_from([None, *NAMES, *NUMBERS]),
    st.sampled_from([None, 0, 1, 8000]),
)


def rules(key: str) -> st.SearchStrategy:
    section = sometimes(
        **{key: st.none() | st.lists(peers, max_size=3), "ports": st.none() | st.lists(ports, max_size=3)}
    )
    return st.none() | st.lists(section, max_size=2)


types = st.lists(st.sampled_from(["Ingress", "Egress"]), unique=True)
specs = st.fixed_dictionaries(
    {"podSelector": selectors}, optional={"policyTypes": types, "ingress": rules("from"), "egress": rules("to")}
)
policies = st.lists(st.tuples(st.sampled_from(SPACES), specs), max_size=4).map(
    lambda drawn: [policy(f"p{number}", where, **spec) for number, (where, spec) in enumerate(drawn)]
)

named_ports = st.lists(
    st.builds(
        lambda name, protocol, number: {"name": name, "protocol": protocol, "containerPort": number},
        st.sampled_from(NAMES),
        st.sampled_from(PROTOCOLS),
        st.sampled_from(NUMBERS),
    ),
    max_size=2,
)
rare = st.sampled_from(
    [{}] * 7 + [{"phase": "Succeeded"}, {"phase": "Failed"}, {"phase": "Pending"}, {"host_network": True}]
)
sidecars = st.builds(
    lambda always, found: [{"name": "side", "ports": found} | ({"restartPolicy": "Always"} if always else {})],
    st.booleans(),
    named_ports,
)


@st.composite
def _pods(draw):
    found = []
    for number in range(draw(st.integers(1, 6))):
        address = draw(st.sampled_from([*ADDRESSES, None]))
        found.append(
            pod(
                f"pod{number}",
                address,
                draw(labels),
                draw(st.sampled_from(SPACES)),
                ports=draw(named_ports),
                init_containers=draw(st.just([]) | sidecars),
                **draw(rare),
            )
        )
    return found


pods = _pods()
namespaces = st.lists(st.tuples(st.sampled_from(SPACES), labels), unique_by=lambda each: each[0], max_size=3).map(
    lambda drawn: [namespace(name, **found) for name, found in drawn]
)
