import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.local.attackers import AttackKind
from shieldwall.local.attacks import Attack, InvalidAttackError, TooManyAttackersError, assign

ATTACKS = st.lists(st.builds(Attack, st.sampled_from(AttackKind), st.integers(1, 3)), max_size=4)


def test_attacks_are_read():
    assert Attack.parse("sign-flip:2") == Attack(AttackKind.SIGN_FLIP, 2)
    assert Attack.parse("nan") == Attack(AttackKind.NAN, 1)
    assert str(Attack.parse("sign-flip:2")) == "2 sign-flip attackers"
    assert str(Attack.parse("nan")) == "1 nan attacker"


@pytest.mark.parametrize(
    "text", ["", "sign-flip:", "sign-flip:0", "sign-flip:-1", "sign-flip:²", "polite:1", "nan:1:1"]
)
def test_what_is_no_attack_is_refused(text):
    with pytest.raises(InvalidAttackError):
        Attack.parse(text)


@given(text=st.text(max_size=20))
def test_any_text_is_an_attack_or_refused(text):
    with contextlib.suppress(InvalidAttackError):
        assert Attack.parse(text).count >= 1


@given(clients=st.integers(0, 12), attacks=ATTACKS)
def test_the_last_clients_attack_in_the_order_given(clients, attacks):
    names = [f"c{number}" for number in range(clients)]
    wanted = [attack.kind for attack in attacks for _ in range(attack.count)]
    if len(wanted) > clients:
        with pytest.raises(TooManyAttackersError) as caught:
            assign(names, attacks)
        assert (caught.value.attackers, caught.value.clients) == (len(wanted), clients)
    else:
        assigned = assign(names, attacks)
        assert list(assigned) == names[clients - len(wanted) :]
        assert list(assigned.values()) == wanted
