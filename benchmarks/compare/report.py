"""The table and the chart of a comparison."""

import statistics
from html import escape

Results = dict[str, dict[str, list[tuple[float, float]]]]
"""CPU and wall seconds of a call in each round, by client and column."""


def _cpu(times: list[tuple[float, float]]) -> list[float]:
    return sorted(cpu * 1e3 for cpu, _ in times)


def markdown(results: Results, machine: str) -> str:
    """Medians in milliseconds, with the lowest and the highest round."""
    columns = list(next(iter(results.values())))
    lines = [f"| ms of CPU a call (wall) | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in results.items():
        cells: list[str] = []
        for column in columns:
            cpu, wall = _cpu(row[column]), statistics.median(wall * 1e3 for _, wall in row[column])
            cells.append(f"{statistics.median(cpu):.2f}, {cpu[0]:.2f}-{cpu[-1]:.2f} ({wall:.2f})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{machine}.", ""])


def svg(results: Results) -> str:
    """A bar for each client: the median CPU of a whole answer, one at a time."""
    column = next(iter(next(iter(results.values()))))
    values = {name: statistics.median(_cpu(row[column])) for name, row in results.items()}
    longest, height = max(values.values()), 26 * len(values) + 34
    bars: list[str] = []
    for place, (name, value) in enumerate(values.items()):
        top, width = 30 + 26 * place, max(2.0, 360 * value / longest)
        colour = "#0b7285" if "hotspare" in name.lower() else "#adb5bd"
        bars.append(
            f'<text x="196" y="{top + 14}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="204" y="{top}" width="{width:.1f}" height="18" fill="{colour}"/>'
            f'<text x="{210 + width:.1f}" y="{top + 14}">{value:.2f} ms</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 660 {height}" font-family="sans-serif" font-size="12">'
        f'<rect width="660" height="{height}" fill="white"/>'
        f'<text x="204" y="18" font-weight="bold">CPU of one call, {escape(column)}</text>{"".join(bars)}</svg>\n'
    )
