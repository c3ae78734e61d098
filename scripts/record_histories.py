"""Records the histories that replay tests run over, from a real Temporal server; rewrites the fingerprints too.

    python -m scripts.record_histories            record only the cases that have no file yet
    python -m scripts.record_histories --all      record every case anew

Old histories prove that running events survive an update: keep them, and add new cases beside them. Record anew only
when a change was guarded by `workflow.patched()` and nothing of the old kind can still run.
"""

from __future__ import annotations

import argparse
import asyncio
import json

from tests.temporal_env import running_server
from tests.workflows.cases import FAMILIES
from tests.workflows.fingerprints import BASELINE, ROOT, all_fingerprints

HISTORIES = ROOT / "tests" / "workflows" / "histories"


async def _record(address: str, *, everything: bool) -> None:
    for family, cases in FAMILIES.items():
        (HISTORIES / family).mkdir(parents=True, exist_ok=True)
        for name, case in cases.items():
            path = HISTORIES / family / f"{name}.json"
            if path.exists() and not everything:
                continue
            handle = await case(address)
            history = await handle.fetch_history()
            path.write_text(history.to_json() + "\n")
            print(f"{path.relative_to(ROOT)}: {len(history.events)} events")


def main() -> None:
    """Record, then write the fingerprints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="record every case anew")
    arguments = parser.parse_args()
    with running_server() as address:
        asyncio.run(_record(address, everything=arguments.all))
    BASELINE.write_text(json.dumps(all_fingerprints(), indent=2) + "\n")


if __name__ == "__main__":
    main()
