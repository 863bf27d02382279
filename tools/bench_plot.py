#!/usr/bin/env python3
"""Draws time per generated token against bytes read per token, from what `pixellm bench --json` printed (standard library only).

  bench_plot.py OUT.svg LABEL=FILE.jsonl ...

A point is the median of a file's lines for one thread count, its bar their range. The line through the points of one thread
count is the least-squares fit of time = fixed + bytes / speed, both of which it prints.
"""
import json
import math
import statistics
import sys

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 440, 70, 50, 30, 20
COLOURS = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700"]


def points(label, path):
    """{threads: (bytes, [milliseconds])} of one model."""
    found = {}
    for line in open(path):
        row = json.loads(line)
        speed = next((v for k, v in row.items() if k.startswith("tg") and "x" not in k), None)
        if speed:
            found.setdefault(row["threads"], (row["bytes_per_token"], []))[1].append(1000 / speed)
    if not found:
        sys.exit(f"{path}: no line with a speed of generation (tg...)")
    return {t: (label, b, ms) for t, (b, ms) in found.items()}


def fit(rows):
    """fixed ms and GB/s of median time = fixed + bytes / speed."""
    xs, ys = [b for _, b, _ in rows], [statistics.median(ms) for *_, ms in rows]
    mx, my = statistics.fmean(xs), statistics.fmean(ys)
    slope = sum((x - mx) * (y - my) for x, y in zip(xs, ys)) / sum((x - mx) ** 2 for x in xs)
    return my - slope * mx, 1e-6 / slope


def nice(top):
    step = 10 ** math.floor(math.log10(top))
    step = next(s for s in (step / 5, step / 2, step, step * 2) if top / s <= 6)
    return step, math.ceil(top / step) * step


def text(x, y, words, anchor="middle", size=13, colour="#24292f"):
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{words}</text>'


def draw(series):
    rows = [r for rs in series.values() for r in rs]
    x_step, x_top = nice(max(b for _, b, _ in rows) / 1e6)
    y_step, y_top = nice(max(max(ms) for *_, ms in rows))
    px = lambda mb: LEFT + mb / x_top * (WIDTH - LEFT - RIGHT)
    py = lambda ms: HEIGHT - BOTTOM - ms / y_top * (HEIGHT - BOTTOM - TOP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']
    for i in range(round(x_top / x_step) + 1):
        x = px(i * x_step)
        out += [f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#d0d7de"/>', text(x, HEIGHT - BOTTOM + 18, f"{i * x_step:g}")]
    for i in range(round(y_top / y_step) + 1):
        y = py(i * y_step)
        out += [f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#d0d7de"/>', text(LEFT - 8, y + 4, f"{i * y_step:g}", "end")]
    out += [text((LEFT + WIDTH) / 2, HEIGHT - 10, "weights read per token, MB"), text(LEFT, TOP - 10, "ms per token", "start")]
    for k, (threads, rs) in enumerate(sorted(series.items())):
        colour = COLOURS[k % len(COLOURS)]
        name = f"{threads} thread{'s' if threads > 1 else ''}"
        if len(rs) > 1:
            fixed, speed = fit(rs)
            name += f": {fixed:.2f} ms + bytes at {speed:.1f} GB/s"
            out.append(f'<path d="M{px(0):.1f} {py(max(fixed, 0)):.1f}L{px(x_top):.1f} {py(fixed + x_top / speed):.1f}" stroke="{colour}" fill="none" opacity="0.5"/>')
        print(name)
        out.append(text(LEFT + 14, TOP + 18 + 20 * k, name, "start", 13, colour))
        for label, b, ms in rs:
            x, y = px(b / 1e6), py(statistics.median(ms))
            out += [f'<path d="M{x:.1f} {py(min(ms)):.1f}V{py(max(ms)):.1f}" stroke="{colour}"/>', f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>']
            if k == 0:
                out.append(text(x - 8, y - 8, label, "end", 11))
    return "\n".join(out + ["</svg>", ""])


def main():
    if len(sys.argv) < 3 or any("=" not in a for a in sys.argv[2:]):
        sys.exit(__doc__)
    series = {}
    for argument in sys.argv[2:]:
        label, path = argument.split("=", 1)
        for threads, row in points(label, path).items():
            series.setdefault(threads, []).append(row)
    with open(sys.argv[1], "w") as f:
        f.write(draw(series))


main()
