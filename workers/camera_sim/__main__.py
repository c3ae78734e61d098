"""`python -m workers.camera_sim` is `iris camera-sim`."""

from __future__ import annotations

import argparse
import sys

from workers.camera_sim.cli import add_arguments, run

if __name__ == "__main__":
    _parser = argparse.ArgumentParser(prog="iris camera-sim")
    add_arguments(_parser)
    sys.exit(run(_parser.parse_args()))
