"""SVG made on the server. Pure. Every text that goes in is escaped; no style attribute (the CSP forbids it)."""

from markupsafe import Markup, escape

SPARK_WIDTH = 120
SPARK_HEIGHT = 24


def sparkline(counts: list[int], of: str = "in the last hour") -> Markup:
    """One bar for each count, newest at the right; *of* says what time they are of."""
    total = sum(counts)
    top = max(counts, default=0)
    label = f"{total:,} {of}" if total else f"none {of}"
    step = SPARK_WIDTH / max(1, len(counts))
    bars = []
    for position, count in enumerate(counts):
        if count:
            height = max(2.0, count / top * (SPARK_HEIGHT - 2))
            bars.append(
                f'<rect x="{position * step:.1f}" y="{SPARK_HEIGHT - height:.1f}"'
                f' width="{max(1.0, step - 0.4):.1f}" height="{height:.1f}"/>'
            )
    box = f'viewBox="0 0 {SPARK_WIDTH} {SPARK_HEIGHT}" width="{SPARK_WIDTH}" height="{SPARK_HEIGHT}"'
    ground = f'<path d="M0 {SPARK_HEIGHT - 0.5}H{SPARK_WIDTH}"/>'
    # Numbers only, and a label that is escaped.
    return Markup(  # noqa: S704
        f'<svg class="spark" {box} role="img" aria-label="{escape(label)}">{ground}{"".join(bars)}</svg>'
    )
