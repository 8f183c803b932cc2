"""Running what a release is made with."""

import subprocess
import sys


def run(*command, **options):
    """What *command* prints; where it fails, its last words, and the end of the release."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    if done.returncode:
        sys.exit(f"release: {' '.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout
