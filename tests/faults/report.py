"""The figures of the fault tests as a table: `python -m tests.faults.report [--write]`.

Takes the newest run of each family in each form from `faults-results/`; `--write` puts the table into
docs/reference/reliability.md, between its marks.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.ledger import RESULTS, read_results
from tests.tree import ROOT

DOCUMENT = ROOT / "docs" / "reference" / "reliability.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_HEADER = (
    "| fault | form | n | failures, 95 % bound | events: lost, duplicate | violations | measured |",
    "|---|---|---|---|---|---|---|",
)
# Facts that say how a run went, not what it found.
_QUIET = ("quiet machine",)

Entry = dict[str, Any]


def newest(entries: Sequence[Entry]) -> list[Entry]:
    """The last run of each family, title and form, in the order of the catalogue."""
    found = {(entry["family"], entry["title"], entry["form"]): entry for entry in entries}
    return sorted(found.values(), key=lambda entry: (_number(entry["family"]), entry["title"], entry["form"]))


def _number(family: str) -> tuple[int, str]:
    digits = re.search(r"\d+", family)
    return (int(digits.group()) if digits else 10**6, family)


def row(entry: Entry) -> str:
    """One line of the table."""
    samples = [f"{name} {_spread(spread)}" for name, spread in entry["samples"].items()]
    facts = [f"{name} {_plain(value)}" for name, value in entry["facts"].items() if name not in _QUIET]
    cells = (
        f"{entry['family']} {entry['title']}",
        entry["form"],
        f"{entry['rounds']} {entry['unit']}",
        f"{entry['failures']}, {100 * entry['bound']:.3g} %",
        f"{entry['events']}: {entry['lost']}, {entry['duplicates']}" if entry["events"] else "-",
        str(entry["violations"]),
        "; ".join([*samples, *facts]) or "-",
    )
    return "| " + " | ".join(cells) + " |"


def _spread(spread: dict[str, float]) -> str:
    if spread["count"] == 1:
        return f"{spread['median']:.3g}"
    return f"{spread['median']:.3g} (95 %: {spread['p95']:.3g}, worst {spread['worst']:.3g})"


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in sorted(value.items()))
    return f"{value:g}" if isinstance(value, float) else str(value)


def table(entries: Sequence[Entry]) -> str:
    """The whole table, and what it was measured on."""
    rows = newest(entries)
    machines = {
        f"{entry['machine']['cores']} cores, Linux {entry['machine']['kernel'].partition('-')[0]}" for entry in rows
    }
    revisions = sorted({entry["revision"] for entry in rows})
    seeds = ", ".join(f"{entry['family']} {entry['form']} {entry['seed']}" for entry in rows)
    return "\n".join(
        [
            *_HEADER,
            *(row(entry) for entry in rows),
            "",
            f"Measured on {'; '.join(sorted(machines))}; revisions {', '.join(revisions)}. Seeds: {seeds}.",
        ]
    )


def main(arguments: Sequence[str] | None = None, folder: Path = RESULTS, document: Path = DOCUMENT) -> int:
    """Print the table, or write it into the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into the document")
    given = parser.parse_args(arguments)
    entries = read_results(folder)
    if not entries:
        sys.stderr.write(f"there are no figures in {folder}; run the fault tests first\n")
        return 1
    made = table(entries)
    if given.write:
        before, _, rest = document.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        document.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}")
    else:
        sys.stdout.write(made + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
