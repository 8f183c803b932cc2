"""Runs benches and keeps what they print for docs/performance.rst, with a plot of the peers.

    python bench/_record.py [NAME ...]        default: those that the page shows
    python bench/_record.py --plot            draw the plots anew from what was kept

Run it on a machine that does nothing else: the first line of each file says how busy it was.
"""

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import escape

BENCH = Path(__file__).resolve().parent
KEPT = BENCH.parent / "docs" / "performance"
NAMES = (
    "peers",
    "error_path",
    "middleware",
    "middleware_uwsgi",
    "scrub",
    "spool",
    "sender",
    "uwsgi_plugin",
    "heka_client",
    "inbox",
)
ARGUMENTS = {"peers": ["--all"]}
TITLES = {
    "bare": "no middleware",
    "ours": "heka-raven",
    "sentry": "sentry-sdk",
    "raven": "raven 6.10",
    "bugsnag": "bugsnag",
    "otel": "opentelemetry",
}


def record(name):
    arguments = ARGUMENTS.get(name, [])
    busy = os.getloadavg()[0]
    done = subprocess.run(
        [sys.executable, str(BENCH / f"{name}.py"), *arguments], capture_output=True, text=True, timeout=900
    )
    if not done.stdout.strip():
        raise SystemExit(f"{name}: {done.stderr}")
    today = datetime.datetime.now(datetime.timezone.utc).date()
    head = (
        f"{today}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"load at the start {busy:.1f}: bench/{name}.py"
    )
    lines = done.stdout.splitlines()
    if missing := [line.split()[0] for line in lines if re.match(r"\S+\s+not measured", line)]:
        raise SystemExit(f"{name}: not measured: {', '.join(missing)}; `./run setup full` installs every peer")
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{name}.txt").write_text(head + "\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"{name}: kept")


def plot_peers():
    """Two groups of bars: what a request that succeeds pays, and what one error costs."""
    rows = []
    for line in (KEPT / "peers.txt").read_text(encoding="utf-8").splitlines():
        found = re.fullmatch(r"(\w+)\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)", line.strip())
        if found and found[1] != "bare":
            rows.append((TITLES.get(found[1], found[1]), float(found[3]), float(found[4])))
    rows.sort(key=lambda row: row[1])
    parts = [
        bars("added to a request that succeeds, µs", [(title, over) for title, over, _ in rows], 0),
        bars("one error, 17 frames with 8 locals each, ms", [(title, error / 1000) for title, _, error in rows], 380),
    ]
    height = 60 + 28 * len(rows)
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" font-family="sans-serif" font-size="13" '
        'role="img">'
        f"<title>What an error middleware costs</title>"
        f'<rect width="760" height="{height}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )
    (KEPT / "peers.svg").write_text(text, encoding="utf-8")


def bars(title, rows, left):
    most = max(value for _, value in rows)
    parts = [f'<text x="{left + 10}" y="24" font-weight="bold">{escape(title)}</text>']
    for index, (name, value) in enumerate(rows):
        top = 42 + 28 * index
        width = max(1.0, 180 * value / most)
        colour = "#2b6cb0" if name == "heka-raven" else "#a0aec0"
        parts.append(f'<text x="{left + 10}" y="{top + 14}">{escape(name)}</text>')
        parts.append(f'<rect x="{left + 105}" y="{top}" width="{width:.1f}" height="20" fill="{colour}"/>')
        parts.append(f'<text x="{left + 111 + width:.1f}" y="{top + 14}">{value:,.1f}</text>')
    return "".join(parts)


def main():
    parser = argparse.ArgumentParser(description="Keep the figures that docs/performance.rst shows.")
    parser.add_argument("name", nargs="*", default=[])
    parser.add_argument("--plot", action="store_true", help="only draw")
    arguments = parser.parse_args()
    if not arguments.plot:
        for name in arguments.name or NAMES:
            record(name)
    plot_peers()


if __name__ == "__main__":
    main()
