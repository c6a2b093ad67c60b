import io
import json

import pytest
from rich.console import Console

from shieldwall.cli.terminal import printable, two_columns
from shieldwall.cli.views import lines
from shieldwall.cli.views.live import LiveView
from shieldwall.cli.views.phrases import round_line
from shieldwall.cli.views.plain import PlainView, closing
from shieldwall.cli.views.series import LiveSeries, PlainSeries
from shieldwall.contract.privacy import PrivacyRecord
from shieldwall.contract.records import ClientStatus, Fate, Outcome, Phase
from shieldwall.local import events
from shieldwall.local.outcome import End, ModelFacts

EVIL = "\x1b[2J[red]leipzig[/red]\r\n"


def screen(*, width=120, terminal=False):
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=terminal,
        highlight=False,
        markup=False,
        emoji=False,
        no_color=True,
    )


@pytest.fixture
def story(make):
    """A run from its beginning to its end."""
    client = ClientStatus(name="berlin", online=True)
    first = make.record(
        1,
        make.reply("berlin", norm=0.92, cosine=0.81),
        make.reply("hamburg", norm=4.1, cosine=-0.77),
        make.reply("leipzig", Fate.STALE, detail="reply of round 6 replayed"),
        metrics={"accuracy": 0.914},
    )
    again = make.record(2, make.reply("berlin", Fate.NO_REPLY), outcome=Outcome.REPEATED)
    return [
        events.Began(
            training="digits",
            label="FedTrimmedAvg, 1 replayed attacker",
            rounds=3,
            clients=("berlin", "hamburg", "leipzig"),
            attackers={"leipzig": "replayed"},
            directory="/x",
        ),
        events.Step(message="Starting the server."),
        events.Notice(message="Not started as root."),
        events.Progress(status=make.status(Phase.WAITING, message="1 of 3 clients are online.", clients=(client,))),
        events.Exited(pod="digits-client-leipzig", container="supernode", code=0, restarts=1, log="logs/x.log"),
        events.RoundClosed(record=first),
        events.Renewed(subject="client/berlin", serial="ab"),
        events.RoundClosed(record=again),
        events.Ended(outcome=make.outcome(first)),
    ]


def test_line_by_line(story):
    console = screen()
    view = PlainView(console)
    for event in story:
        view.show(event)
    assert console.file.getvalue().splitlines() == [
        (
            "digits · FedTrimmedAvg, 1 replayed attacker · 3 clients · 3 rounds"
            " · attacking: leipzig (replayed) · files in /x"
        ),
        "Starting the server.",
        "Not started as root.",
        "1 of 3 clients are online.",
        "digits-client-leipzig: supernode exited with 0 (restart 1), see logs/x.log",
        "round 1/3 · accuracy 0.91 · 2 of 3 admitted · outvoted: hamburg · rejected: leipzig (stale)",
        "renewed: client/berlin, serial ab",
        "round 2/3 · attempt 1: repeated for want of replies · 0 of 1 admitted · absent: berlin (no-reply)",
    ]


def test_a_container_that_ends_all_the_time_is_not_news_all_the_time():
    console = screen()
    view = PlainView(console)
    for restarts in range(1, 10):
        view.show(events.Exited(pod="p", container="c", code=-9, restarts=restarts, log="l"))
    assert len(console.file.getvalue().splitlines()) == 2
    assert "ended by signal 9" in console.file.getvalue()


def test_on_a_terminal_every_client_has_its_row(story):
    console = screen(terminal=True)
    with LiveView(console) as view:
        for event in story[:-2]:
            view.show(event)
    last = console.file.getvalue().split("digits · FedTrimmedAvg, 1 replayed attacker")[-1]
    for words in (
        "accuracy 0.91",
        "outvoted",
        "norm 4.10",
        "cos −0.77",
        "(replayed)",
        "reply of round 6 replayed",
    ):
        assert words in last


def test_drawing_starts_no_thread(story):
    """Programs are started by fork, which threads would not survive."""
    import threading

    before = threading.active_count()
    for view in (LiveView(screen(terminal=True)), LiveSeries(screen(terminal=True), 3)):
        with view:
            for event in story:
                view.show(event)
                assert threading.active_count() == before


def test_json_lines_are_events_and_nothing_else(story, capsys):
    for event in story:
        lines.show(event)
    written = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["event"] for line in written] == [event.event for event in story]


@pytest.mark.parametrize("terminal", [False, True])
def test_the_demonstration_has_a_line_for_each_run(story, terminal):
    console = screen(terminal=terminal)
    if terminal:
        with LiveSeries(console, 3) as view:
            for event in story * 2:
                view.show(event)
    else:
        view = PlainSeries(console, 3)
        for event in story * 2:
            view.show(event)
    text = console.file.getvalue()
    assert "1/3" in text
    assert "2/3" in text
    assert "accuracy 0.91" in text


@pytest.mark.parametrize("terminal", [False, True])
def test_names_and_errors_of_strangers_stay_text(make, terminal):
    console = screen(terminal=terminal)
    story = [
        events.Began(training=EVIL, label=EVIL, rounds=1, clients=(EVIL,), attackers={EVIL: EVIL}, directory="/"),
        events.Step(message=EVIL),
        events.Progress(status=make.status(message=EVIL, clients=(ClientStatus(name=EVIL),))),
        events.Exited(pod=EVIL, container=EVIL, code=1, restarts=1, log=EVIL),
        events.RoundClosed(
            record=make.record(1, make.reply(EVIL, Fate.CLIENT_ERROR, detail=EVIL), metrics={EVIL: 1.0})
        ),
    ]
    if terminal:
        with LiveView(console) as live:
            for event in story:
                live.show(event)
    else:
        plain = PlainView(console)
        for event in story:
            plain.show(event)
    assert "\x1b[2J" not in console.file.getvalue()
    assert "[red]" in console.file.getvalue()


def test_the_last_lines_say_where_the_model_is(make):
    model = ModelFacts(path="/x/model.npz", sha256="ab", size=3)
    run = make.outcome(
        make.record(1, metrics={"accuracy": 0.9}), end=End.INTERRUPTED, model=model, message="Interrupted."
    )
    text = "\n".join(closing(run))
    for words in ("interrupted after 61 s", "1 rounds", "accuracy 0.90", "/x/model.npz", "sha256 ab", "Interrupted."):
        assert words in text


def test_columns_are_wrapped_and_long_names_have_a_line_of_their_own():
    text = two_columns([("a" * 50, "word " * 20), ("b", "short")], 60)
    assert max(map(len, text.splitlines())) <= 60
    assert text.splitlines()[0] == "  " + "a" * 50
    assert text.splitlines()[-1].endswith("  short")


def test_printable():
    assert printable("a\nb\x1b\u202ec é 漢") == "a b\\x1b\\u202ec é 漢"


def test_both_views_tell_what_was_spent_of_privacy(make, story):
    spent = PrivacyRecord(epsilon=0.314, rounds_left=4, releases=1, delta=1e-5)
    record = make.record(1, make.reply("berlin"), metrics={"accuracy": 0.5}, privacy=spent)
    plain, live = screen(), screen(terminal=True)
    PlainView(plain).show(events.RoundClosed(record=record))
    with LiveView(live) as view:
        for event in (story[0], events.RoundClosed(record=record)):
            view.show(event)

    assert "accuracy 0.50 · ε 0.31 · 1 of 1 admitted" in plain.file.getvalue()
    assert "accuracy 0.50 · ε 0.31 · 1 of 1 admitted" in live.file.getvalue()
    assert "ε 0.31 spent" in closing(make.outcome(record))[0]


def test_a_run_that_lost_rounds_says_so(make):
    message = "The training ended with 1 round released; 1 round was lost: in round 2, 1 reply came."
    skipped = make.record(2, make.reply("berlin", Fate.NO_REPLY), outcome=Outcome.SKIPPED)

    assert message in closing(make.outcome(make.record(1), skipped, message=message))
    assert "round 2/3 · skipped for want of replies" in round_line(skipped, 3)


def test_a_run_that_ended_for_its_privacy_budget_says_so(make):
    message = "The privacy budget is spent: epsilon = 0.9 of 1, and round 3 would make it 1.1."

    assert message in closing(make.outcome(message=message))
    assert message not in closing(make.outcome(message="All 3 rounds are released."))
