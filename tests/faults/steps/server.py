"""`python -m tests.faults.steps.server`: has everything loaded and forks a child for each run of a step.

Reads one JSON job a line: the step's module, the phase, the folders, and whether the child stops itself first so
that it can be traced. Answers {"pid": ...} when the child is there and {"status": ..., "answer": ...} when it ended.
It has one thread and no open file of a site, so forking it is safe.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from iris.base.log import configure_logging
from tests.faults.steps import clip_finish, event_delete, event_open, segment_adopt, segment_publish
from tests.faults.steps.said import Said

STEPS = {module.NAME: module for module in (event_open, segment_publish, segment_adopt, clip_finish, event_delete)}


def _work(job: dict[str, Any]) -> Any:
    step = STEPS[job["step"]]
    data_dir, said = Path(job["data_dir"]), Said(Path(job["said"]))
    match job["phase"]:
        case "prepare":
            return step.prepare(data_dir, said)
        case "run":
            return step.run(data_dir, said)
        case "recover":
            return step.recover(data_dir, said)
        case "problems":
            return step.problems(data_dir, said, recovered=False)
        case "verdict":
            return _verdict(step, data_dir, said)
        case phase:
            raise ValueError(phase)


def _verdict(step: ModuleType, data_dir: Path, said: Said) -> list[str]:
    """What is wrong at once, and after the next start has repaired what it can."""
    found = [f"at once: {text}" for text in step.problems(data_dir, said, recovered=False)]
    step.recover(data_dir, said)
    return found + [f"after the next start: {text}" for text in step.problems(data_dir, said, recovered=True)]


def _child(job: dict[str, Any], answers: int) -> None:
    os.chdir("/")
    if job["stopped"]:
        os.kill(os.getpid(), signal.SIGSTOP)
    code = 0
    try:
        answer = _work(job)
    except BaseException:  # noqa: BLE001 - the boundary of the child: whoever asked reads it
        answer, code = traceback.format_exc(), 1
    os.write(answers, json.dumps(answer).encode())
    os._exit(code)


def main() -> None:
    configure_logging("step", level="error")
    gc.collect()
    gc.freeze()  # a child that collects garbage would copy every page of its parent
    for line in sys.stdin:
        job = json.loads(line)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _child(job, writing)
        os.close(writing)
        if job["stopped"]:
            os.waitpid(pid, os.WUNTRACED)
        print(json.dumps({"pid": pid}), flush=True)
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read()
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"status": status, "answer": answer.decode()}), flush=True)


if __name__ == "__main__":
    main()
