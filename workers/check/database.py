"""Rules of the databases themselves: intact, of this version, paired, one clip per event, and vectors."""

from __future__ import annotations

from iris.adapters.store_mark import StoreMark, check_mark
from iris.base.errors import StorageError, StoreMismatchError
from iris.store.check import doubled_clips, integrity_problems, read_identity, read_schema
from workers.check.view import CheckTask, View
from workers.check_report import Findings


def readable(task: CheckTask, found: Findings) -> bool:
    """Whether the rows can be read with this version's eyes; rules 1 and 10."""
    found.rule("integrity", "databases are intact and the schema is this version's")
    found.looked("integrity")
    for text in integrity_problems(task.store):
        found.problem("integrity", f"main database: {text}")
    schema = read_schema(task.store)
    if not schema.is_head:
        found.problem("integrity", f"main database: schema {schema.current or 'missing'}, needed is {schema.head}")
        return False
    found.rule("pair", "database, data directory and media folders belong together")
    found.looked("pair")
    identity = read_identity(task.store)
    if identity is None:
        found.problem("pair", "the database was never paired with a data directory; start Iris once")
        return True
    try:
        check_mark(task.data_dir, StoreMark(identity.store_id, identity.generation))
    except (StoreMismatchError, StorageError) as error:
        found.problem("pair", str(error))
    return True


def node_databases(view: View, found: Findings) -> None:
    """Rule 1 for the cameras' own files and the relay's."""
    found.looked("integrity", len(view.cameras) + 1)
    for camera in view.cameras:
        for text in camera.problems:
            found.problem("integrity", f"camera {camera.camera_id}: {text}")
    for text in view.relay.problems:
        found.problem("integrity", f"relay.db: {text}")


def one_clip_per_event(task: CheckTask, found: Findings) -> None:
    """Rule 4: the tables' own constraints say the same; a database that was edited by hand may not hold them."""
    found.rule("single", "an event has one clip, and no clip file has two rows")
    found.looked("single")
    for text in doubled_clips(task.store):
        found.problem("single", text)


def vectors(found: Findings) -> None:
    """Rule 7: byte length = dimension x 4, finite, norm above 0, known model.

    No table of this version holds vectors, so nothing is looked at. Who adds one reads it here a page at a time and
    calls `found.looked` and `found.problem` for each vector.
    """
    found.rule("vector", "each stored vector has its model's dimension and finite values")
