import html.parser
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.contract.privacy import BUDGET_SPENT, PrivacyRecord
from shieldwall.contract.records import ClientStatus, Denial, Fate, Flag, Held, Outcome
from shieldwall.local.outcome import CertificateFacts, ContainerFacts, End, ModelFacts
from shieldwall.local.report import write_report
from shieldwall.local.report.facts import attackers_out, client_facts, contributions, ranges, rejections
from shieldwall.local.report.sentences import comparison, plural, run_summary, seconds
from shieldwall.local.standing import Standing

EVIL = "</script><script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)> $\\frac{ &amp;"


class Page(html.parser.HTMLParser):
    """Collects what a browser would load or run, and the text."""

    def __init__(self):
        super().__init__()
        self.tags, self.addresses, self.handlers, self.text = set(), [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href", "data", "action"}:
                self.addresses.append(value)
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data):
        self.text.append(data)


def read(path):
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


@pytest.fixture
def attacked(make):
    def attempt(number):
        fine = make.reply("berlin", norm=0.9, cosine=0.8)
        if number == 1:
            return make.record(1, fine, make.reply("leipzig", norm=4.0, cosine=-0.7), metrics={"accuracy": 0.5})
        stale = make.reply("leipzig", Fate.STALE, detail="The reply answers round 1.")
        return make.record(number, fine, stale, metrics={"accuracy": 0.5 + number / 10})

    return make.outcome(*map(attempt, (1, 2, 3)))


def test_the_report_tells_who_was_banned_and_why(make, tmp_path):
    clients = (
        ClientStatus(name="berlin", innovation=0.61),
        ClientStatus(name="leipzig", innovation=0.02, strikes=5, banned_since=6, flags=(Flag.REPLAY,), denied=True),
        ClientStatus(name="jena", innovation=0.3, strikes=5, held=Held.DRY_RUN, flags=(Flag.TINY,)),
        ClientStatus(name="kiel", innovation=0.3, strikes=3, probation_until=30),
    )
    names = tuple(client.name for client in clients)
    run = make.outcome(make.record(1, make.reply("berlin")), clients=names, status=make.status(clients=clients))
    states = {each.client: (each.state, each.sentence) for each in contributions(run)}
    assert states == {
        "berlin": ("", ""),
        "leipzig": ("banned", "After round 6: it sends what the model did earlier."),
        "jena": ("suspected", "Not banned (dry run): its updates are next to nothing."),
        "kiel": ("on probation", "Until round 30."),
    }
    assert "leipzig is banned for not contributing." in run_summary(run)
    files = write_report((run,), tmp_path / "report.html")
    assert "it sends what the model did earlier" in " ".join(read(files.html).text)
    assert json.loads(files.json.read_text())["runs"][0]["banned"] == ["leipzig"]
    unwatched = make.outcome(
        make.record(1, make.reply("berlin")), status=make.status(clients=(ClientStatus(name="berlin"),))
    )
    assert contributions(unwatched) == []


def private(epsilon, left, signal=0.73):
    return PrivacyRecord(epsilon=epsilon, rounds_left=left, releases=1, delta=1e-5, signal_to_noise=signal)


def test_the_report_tells_what_was_spent_of_privacy(make, tmp_path):
    first = make.record(1, make.reply("berlin"), privacy=private(0.27, 3))
    second = make.record(2, make.reply("berlin"), privacy=private(0.394, 2, None))
    run = make.outcome(first, second)

    assert "What was released spent ε = 0.39." in run_summary(run)
    files = write_report((run,), tmp_path / "report.html")
    text = " ".join(" ".join(read(files.html).text).split())
    assert "1 1 0.27 3 0.73 2 1 0.39 2 –" in text
    assert json.loads(files.json.read_text())["runs"][0]["epsilon"] == 0.394


def test_the_report_says_that_the_budget_ended_the_training(make):
    message = (
        f"The{BUDGET_SPENT[3:]}: epsilon = 0.9 of 1, and round 3 would make it 1.1; the training ends after round 2."
    )
    run = make.outcome(make.record(1, privacy=private(0.9, 0)), message=message)

    assert f"spent ε = 0.90. {message}" in run_summary(run)


def test_the_report_says_how_many_rounds_a_complete_training_lost(make):
    message = "The training ended with 1 round released; 1 round was lost: in round 2, 1 reply came."
    run = make.outcome(make.record(1), make.record(2, outcome=Outcome.SKIPPED), message=message)

    assert message in run_summary(run)
    assert message not in run_summary(make.outcome(make.record(1), message=message))


def test_without_privacy_the_report_says_nothing_of_it(make, tmp_path):
    run = make.outcome(make.record(1, make.reply("berlin")))

    assert (run.epsilon, "ε" in run_summary(run)) == (None, False)
    assert "ε" not in " ".join(read(write_report((run,), tmp_path / "report.html").html).text)


def test_what_strangers_write_is_shown_and_never_run(make, tmp_path):
    evil = make.outcome(
        make.record(1, make.reply("berlin", Fate.CLIENT_ERROR, detail=EVIL), metrics={"accuracy": 0.5, EVIL: 1.0}),
        clients=("berlin", EVIL),
        attackers={EVIL: EVIL},
        label=EVIL,
        message=EVIL,
        end=End.FAILED,
        training=EVIL,
        rule=EVIL,
        isolation=EVIL,
        status=make.status(
            message=EVIL, denials=(Denial(client=EVIL, reason=EVIL, count=1, last=0),), handshakes={EVIL: 2}
        ),
        certificates=(CertificateFacts(subject=EVIL, serial=EVIL, issuer=EVIL, expires=1.0, renews=1.0),),
        containers=(ContainerFacts(pod=EVIL, container=EVIL, restarts=1, exits=(1,), log=EVIL),),
        model=ModelFacts(path=EVIL, sha256=EVIL, size=1),
    )
    page = read(write_report([evil, evil], tmp_path / "report.html").html)
    assert page.tags & {"script", "img", "iframe", "link", "object"} == set()
    assert page.handlers == []
    assert EVIL in "".join(page.text)


@pytest.mark.parametrize("name", ["$x$", "$\\frac{$", "a&b<c", "é\u202e"])
def test_any_metric_can_be_drawn(make, tmp_path, name):
    run = make.outcome(make.record(1, metrics={name: 1.0}), make.record(2, metrics={name: 2.0}))
    page = read(write_report([run], tmp_path / "report.html").html)
    assert "svg" in page.tags
    assert page.tags & {"script", "c"} == set()


def test_the_report_needs_no_network(attacked, tmp_path):
    files = write_report([attacked, attacked], tmp_path / "report.html")
    page = read(files.html)
    assert {address[0] for address in page.addresses} == {"#"}
    text = files.html.read_text(encoding="utf-8")
    loaded = re.findall(r"url\(([^)]*)\)|@import", text)
    assert all(address.startswith("#") for address in loaded)
    assert "default-src 'none'" in text


def test_the_json_says_the_same(attacked, tmp_path):
    files = write_report([attacked], tmp_path / "deep" / "report.html")
    document = json.loads(files.json.read_text(encoding="utf-8"))
    run = document["runs"][0]
    assert run["replies"] == {"ok": 3, "outvoted": 1, "rejected": 2, "absent": 0}
    assert run["rejections"] == [
        {"client": "leipzig", "fate": "stale", "count": 2, "rounds": "2–3", "why": "The reply answers round 1."}
    ]
    assert run["accuracy"] == 0.8
    assert document["summary"] in "".join(read(files.html).text)


def test_each_client_is_followed_through_the_rounds(attacked):
    berlin, leipzig = client_facts(attacked)
    assert [mark.standing for mark in leipzig.strip] == [Standing.OUTVOTED, Standing.REJECTED, Standing.REJECTED]
    assert (leipzig.attack, berlin.attack) == ("sign-flip", None)
    assert (berlin.norm.median, leipzig.cosine.high) == (0.9, -0.7)
    assert attackers_out(attacked) == 3
    assert rejections(attacked)[0].attack == "sign-flip"


def test_a_client_that_was_not_asked_is_not_absent(make):
    run = make.outcome(make.record(1, make.reply("berlin")), make.record(1, outcome=Outcome.REPEATED))
    strips = [[mark.standing for mark in client.strip] for client in client_facts(run)]
    assert strips == [[Standing.OK, None], [None, None]]


@pytest.mark.parametrize("end", End)
def test_a_run_without_any_round_has_a_report(make, tmp_path, end):
    run = make.outcome(end=end, status=None, message="The server was not ready within 180 s.")
    page = read(write_report([run], tmp_path / "report.html").html)
    assert "svg" not in page.tags
    assert run.training in run_summary(run)


def test_the_demonstration_is_summed_up(make):
    def run(accuracy, *, protected=True, attackers=None):
        return make.outcome(
            make.record(1, metrics={"accuracy": accuracy}), protected=protected, attackers=attackers or {}
        )

    flips = {"leipzig": "sign-flip"}
    runs = [run(0.11, protected=False, attackers=flips), run(0.94, attackers=flips), run(0.95)]
    assert comparison(runs) == (
        "Without protection, 1 of 2 clients with sign-flip attacks leave a model of accuracy 0.11. "
        "Shieldwall, under the same attack, reaches 0.94, 1.0 points below its run without attackers."
    )
    assert comparison(runs[:2]) is None
    assert comparison(runs[1:]) is None


@given(numbers=st.sets(st.integers(1, 40)))
def test_ranges_of_rounds_name_exactly_the_rounds(numbers):
    named = set()
    for part in filter(None, ranges(numbers).split(", ")):
        first, _, last = part.partition("–")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == numbers


def test_words():
    assert [plural(1, "reply"), plural(2, "reply"), plural(0, "round")] == ["1 reply", "2 replies", "0 rounds"]
    assert [seconds(None), seconds(9.44), seconds(192.4)] == ["–", "9.4 s", "3 min 12 s"]
