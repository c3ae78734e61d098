"""The event model under random histories: whatever happens in whatever order, each accepted event ends exactly once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.faults.ledger import Ledger, by_form, rounds
from tests.faults.model_world import Template, World

pytestmark = pytest.mark.timeout(7200)

_TERMINAL = ("ready", "partial", "failed")
_MEMORY = Path("/dev/shm")
_PICKS = st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=2, max_size=20)


class EventModel(RuleBasedStateMachine):
    """Rules are what may happen to a camera, its node, Temporal and the database; see `World` for what is real."""

    template: ClassVar[Template]
    scratch: ClassVar[Path]
    ledger: ClassVar[Ledger]

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=self.scratch))
        self.world = World(self.template, self.folder / "data")
        self.undisturbed: set[str] = set()

    # What happens in front of the camera

    @rule(seconds=st.sampled_from((1.0, 3.0, 8.0, 14.0)))
    def somebody_is_in_view(self, seconds: float) -> None:
        self.world.live(seconds, person=True)

    @rule(seconds=st.sampled_from((1.0, 4.0, 9.0)))
    def nobody_is_in_view(self, seconds: float) -> None:
        self.world.live(seconds, person=False)

    @rule(seconds=st.sampled_from((3.0, 6.0)), picks=_PICKS)
    def somebody_comes_and_goes(self, seconds: float, picks: list[tuple[int, bool]]) -> None:
        """A whole event that nothing disturbs, handed over and worked on as far as `picks` go."""
        world = self.world
        world.live(10.0, person=False)
        before = set(world.accepted)
        world.live(seconds, person=True)
        world.relay_turn()
        world.live(10.0, person=False)
        self.undisturbed |= world.accepted - before
        world.relay_turn()
        for pick, again in picks:
            world.work(pick, again=again)

    # What happens to the camera process

    @rule(kill_at=st.integers(1, 40), away_s=st.sampled_from((0.5, 3.0, 20.0)), person=st.booleans())
    def camera_process_is_killed(self, kill_at: int, away_s: float, person: bool) -> None:
        self.world.live(9.0, person=person, kill_at=kill_at, away_s=away_s)

    @rule(seconds=st.sampled_from((1.0, 4.0, 12.0)))
    def camera_is_away(self, seconds: float) -> None:
        self.world.camera.be_away(seconds)

    @rule(seconds=st.sampled_from((-7200.0, -61.5, -3.25, 2.75, 600.0, 7200.0)))
    def clock_is_set(self, seconds: float) -> None:
        self.world.camera.step_clock(seconds)

    @rule()
    def old_footage_is_pruned(self) -> None:
        self.world.camera.prune()

    # What happens to the node and to Temporal

    @rule()
    def relay_hands_over(self) -> None:
        self.world.relay_turn()

    @rule()
    def node_hears_its_camera(self) -> None:
        self.world.hear_camera()

    @rule()
    def node_is_killed(self) -> None:
        self.world.restart_node()

    @rule(seconds=st.sampled_from((0.5, 10.0)))
    def node_is_killed_while_it_hands_over(self, seconds: float) -> None:
        """Temporal knows of an event, and goes away while it is told more; so does the node."""
        self.world.live(4.0, person=True)
        self.world.relay_turn()
        self.world.live(seconds, person=False)
        self.world.temporal.up = False
        self.world.relay_turn()
        self.world.restart_node()
        self.world.temporal.up = True

    @rule(up=st.booleans())
    def temporal_goes_or_comes(self, up: bool) -> None:
        self.world.temporal.up = up

    @rule(count=st.integers(1, 3))
    def temporal_loses_answers(self, count: int) -> None:
        self.world.temporal.answers_to_lose = count

    @rule()
    def temporal_loses_its_database(self) -> None:
        self.world.temporal.runs.clear()

    @rule(picks=_PICKS)
    def worker_works(self, picks: list[tuple[int, bool]]) -> None:
        """As far as `picks` go: which of what can be done, and whether it is done twice."""
        for pick, again in picks:
            self.world.work(pick, again=again)

    # What a person does

    @precondition(lambda self: bool(self.world.ended))
    @rule(pick=st.integers(0, 50), steps=st.integers(1, 3))
    def event_is_deleted(self, pick: int, steps: int) -> None:
        ended = sorted(self.world.ended)
        self.world.remove(ended[pick % len(ended)], steps)

    @rule()
    def removals_are_taken_up(self) -> None:
        self.world.finish_removals()

    # What must hold at any moment

    @invariant()
    def rows_go_only_forward(self) -> None:
        world = self.world
        world.note_accepted()
        rows = world.rows()
        assert set(rows) <= world.accepted, "a row of an event that was never accepted"
        assert not set(rows) & world.removed, "a removed event came back"
        for event_id, row in rows.items():
            assert row.seq >= world.seqs.get(event_id, 0), f"{event_id} went back to message {row.seq}"
            before = world.ended.get(event_id)
            assert before in (None, row.state.value), f"{event_id} was {before} and is {row.state}"
            world.seqs[event_id] = row.seq
            if row.state.value in _TERMINAL:
                world.ended[event_id] = row.state.value
        for event_id in world.removed:
            world.ended.pop(event_id, None)

    @rule()
    def check_finds_nothing(self) -> None:
        # A removal that rests while hours pass by the clock is what `iris check` is there to tell.
        self.world.finish_removals()
        report = self.world.check()
        assert report.holds, report.as_text()

    def teardown(self) -> None:
        try:
            self.world.settle()
            self.rows_go_only_forward()
            self.everything_ended_once()
        finally:
            self.world.close()
            shutil.rmtree(self.folder)

    def everything_ended_once(self) -> None:
        world = self.world
        rows = world.rows()
        assert set(rows) | world.removed == world.accepted, "an accepted event has neither a row nor a tombstone"
        assert not set(rows) & world.removed
        assert world.tombstone_ids() == world.removed
        assert {row.state.value for row in rows.values()} <= set(_TERMINAL)
        for event_id in self.undisturbed & set(rows):
            reasons = {span.reason for span in rows[event_id].missing}
            assert reasons <= {"pin_budget", "missing_segment"}, f"{event_id} lacks {rows[event_id].missing}"
        with_clip = {event_id for event_id, row in rows.items() if row.state.value != "failed"}
        clips = {path.name.partition(".")[0] for path in (world.data_dir / "recordings").glob("*/*.mp4")}
        assert clips == with_clip
        assert not list((world.data_dir / "pending").glob("????????-*")), "footage is kept for nobody"
        report = world.check()
        assert report.holds, report.as_text()
        self.ledger.rounds += 1
        self.ledger.events += len(world.accepted)
        for row in rows.values():
            self.ledger.facts[row.state.value] = self.ledger.facts.get(row.state.value, 0) + 1
        self.ledger.facts["removed"] = self.ledger.facts.get("removed", 0) + len(world.removed)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Memory where there is some: each commit is forced to the disk, and durability is another test's business."""
    folder = Path(tempfile.mkdtemp(prefix="iris-model-", dir=_MEMORY if _MEMORY.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


def test_every_accepted_event_ends_exactly_once_in_any_history(scratch: Path) -> None:
    steps = by_form(30, 50)
    with Ledger("M", "event model", unit="histories", facts={"steps each": steps}) as ledger:
        EventModel.template, EventModel.scratch, EventModel.ledger = (
            Template.make(scratch / "template"),
            scratch,
            ledger,
        )
        settings = hypothesis.settings(
            max_examples=rounds(40, 400), stateful_step_count=steps, deadline=None, database=None,
            suppress_health_check=list(hypothesis.HealthCheck), print_blob=True,
            # Shrinking takes minutes; the long form with the same seed does it.
            phases=(hypothesis.Phase.generate, *by_form((), (hypothesis.Phase.shrink,))),
        )  # fmt: skip
        run_state_machine_as_test(hypothesis.seed(ledger.seed)(EventModel), settings=settings)
