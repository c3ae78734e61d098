"""The bound that is printed, the line, and the table made of the results."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import ledger, report
from tests.faults.ledger import Ledger, upper_bound


@pytest.mark.parametrize(
    ("failures", "count", "bound"),
    [
        (0, 200, 0.015),  # 3 / n
        (0, 2, 1.0),
        (0, 0, 1.0),
        (1, 50, 0.09140),  # Clopper and Pearson, one-sided: the beta quantile of 0.95 with 2 and 49
        (3, 100, 0.07571),
        (5, 5, 1.0),
    ],
)
def test_bound_is_that_of_the_tables(failures: int, count: int, bound: float) -> None:
    assert upper_bound(failures, count) == pytest.approx(bound, abs=5e-5)


def test_ledger_writes_seed_bound_and_what_was_lost_when_a_run_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ledger, "RESULTS", tmp_path)
    monkeypatch.setattr(ledger, "said", [])
    with Ledger("R0", "on purpose", unit="tries", seed=7) as book:
        book.rounds, book.events = 10, 12
        book.sample("back, s", 1.5)
        book.failed(lost=1)
    line = capsys.readouterr().out
    assert "R0 on purpose: n=10 tries, 1 failures; seed 7, 95 % bound 39.4 %; 12 events, 1 lost, 0 duplicate" in line
    (entry,) = ledger.read_results(tmp_path)
    assert (entry["failures"], entry["seed"], entry["samples"]["back, s"]["worst"]) == (1, 7, 1.5)


def test_report_takes_the_newest_run_and_replaces_the_old_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "RESULTS", tmp_path)
    monkeypatch.setattr(ledger, "said", [])
    for rounds in (3, 30):
        with Ledger("R0", "on purpose", seed=7) as book:
            book.rounds = rounds
    document = tmp_path / "document.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    assert report.main(["--write"], tmp_path, document) == 0
    text = document.read_text()
    assert "| R0 on purpose | short | 30 rounds | 0, 10 % | - | 0 | - |" in text
    assert "3 rounds" not in text
    assert text.startswith("before\n")
    assert text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text


def test_ledger_counts_a_failure_when_the_test_itself_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "RESULTS", tmp_path)
    monkeypatch.setattr(ledger, "said", [])
    book = Ledger("R0", "on purpose")
    book.rounds = 5
    book.__exit__(AssertionError, AssertionError(), None)
    assert ledger.read_results(tmp_path)[0]["failures"] == 1
