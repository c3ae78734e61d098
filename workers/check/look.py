"""One look at everything: all rules of `iris check`, each a promise that the rest of Iris keeps.

Everything here only reads. A system that is at work is between two steps at any moment, so a rule may find what is
gone a second later; `workers.check_command` looks again before it believes it. What a killed process left for the
next start to finish (an unfinished segment, an event still in the outbox) is no problem: it is explained.
"""

from __future__ import annotations

from workers.check import clips, database, files, removals, unfinished
from workers.check.view import CheckTask, read_view
from workers.check_report import CheckReport, Findings


def look(task: CheckTask) -> CheckReport:
    """Apply every rule once.

    Raises:
        StoreError: The database is unreachable.
    """
    found = Findings()
    if not database.readable(task, found):
        return found.report()
    view = read_view(task)
    database.node_databases(view, found)
    database.one_clip_per_event(task, found)
    clips.finished_events(task, view, found)
    database.vectors(found)
    unfinished.deadlines(task, view, found)
    removals.tombstones(task, view, found)
    files.published_files(task, view, found)
    files.kept_footage(task, view, found)
    files.segments(task, view, found)
    removals.cameras(task, view, found)
    unfinished.operations(task, view, found)
    unfinished.notifications(task, view, found)
    return found.report()
