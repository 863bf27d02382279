#!/usr/bin/python3
"""The README's picture of a world: a mounted model, and beside it labels, its thumbnail and a detail, painted.

  tools/world_picture.py PIXELLM MODEL.png OUT.png      (python3-pil, DejaVu fonts)

Everything goes through the command line: `map mount`, `map import-png`, `map locate`, `map export-png`.
"""
import json
import os
import subprocess
import sys
import tempfile

from PIL import Image, ImageDraw, ImageFont

ZOOM = 3                                  # one pixel of the picture is 8 by 8 of the world
MARGIN, HEIGHT = 88, 516                  # pixels of the picture: left of the model, and in all
PAPER, INK, DIM = (13, 17, 23), (230, 237, 243), (139, 148, 158)
FONTS = "/usr/share/fonts/truetype/dejavu/"


def main(pixellm, model, out):
    folder = tempfile.TemporaryDirectory(prefix="world-picture-")
    world = os.path.join(folder.name, "world")

    def run(*args):
        return subprocess.run([pixellm, *args], check=True, stdout=subprocess.PIPE).stdout

    def on_map(*args):
        return run("map", *args, "--world", world)

    def paint(image, x, y, side=2 ** ZOOM):
        """At pixel x, y of the picture, each pixel as a square of the world."""
        path = os.path.join(folder.name, "painted.png")
        image.resize((image.width * side, image.height * side), Image.NEAREST).save(path)
        on_map("import-png", path, f"--at={x * 2 ** ZOOM},{y * 2 ** ZOOM}")

    def text(x, y, words, size, ink=INK, bold=False, width=None):
        font = ImageFont.truetype(FONTS + ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), size)
        image = Image.new("RGB", (width or int(font.getlength(words)) + 2, size + size // 2), PAPER)
        ImageDraw.Draw(image).text((0, 0), words, ink, font)
        paint(image, x, y)

    on_map("mount", model, "--at", "0,0")

    def place(tensor):
        return json.loads(on_map("locate", model, tensor, "--json"))

    info = json.loads(run("info", model, "--json"))
    tensors = info["tensors"]
    right = max(t["world"]["x"] + t["world"]["w"] for t in tensors) >> ZOOM
    embedding = place("token_embd.weight")
    top = ((embedding["y"] + embedding["h"]) >> ZOOM) - 60   # the lower part of the embedding is enough
    width = (MARGIN + right + 24 + 448 + 16) // 8 * 8 + 4      # not a flat PNG's

    paint(Image.new("RGB", (MARGIN - 8, HEIGHT), PAPER), -MARGIN, top)
    paint(Image.new("RGB", (width - MARGIN - right - 8, HEIGHT), PAPER), right + 8, top)
    text(-MARGIN + 10, top + 24, "embedding", 12, DIM)
    layers = sorted({int(t["name"].split(".")[1]) for t in tensors if t["name"].startswith("blk.")})
    for layer in layers:
        y = (place(f"blk.{layer}.attn_q.weight")["y"] >> ZOOM) + 8
        if y < top + HEIGHT - 20:
            text(-MARGIN + 10, y, f"layer {layer}", 12, DIM)

    x, y = right + 24, top + 20
    metadata = info["metadata"]
    name = "-".join(metadata[k] for k in ("general.basename", "general.size_label") if k in metadata) or "A model"
    text(x, y, f"{name}, mounted in a world", 22, bold=True)
    lines = ["Left: the model's own bytes where they lie, averaged 8 by 8.",
             "Embedding, then a band for each layer: norm, Q (a tile for each",
             "head, eight in a row), K, V, O, norm, gate, up, down.",
             "Nothing was copied; pixellm map where X,Y names every weight."]
    for i, line in enumerate(lines):
        text(x, y + 40 + 20 * i, line, 13, DIM)

    small = os.path.join(folder.name, "thumbnail.png")
    run("thumbnail", model, "-o", small, "--size", "320")
    with Image.open(small) as image:
        paint(image, x, y + 128)
        below = y + 128 + image.height + 8
    text(x, below, "Painted beside it: pixellm thumbnail, the weights' sizes as colour", 12, DIM)

    q = place("blk.0.attn_q.weight")
    detail = os.path.join(folder.name, "detail.png")
    on_map("export-png", "--rect", f"{q['x']},{q['y']},149,24", "-o", detail)
    with Image.open(detail) as image:
        paint(image.resize((447, 72), Image.NEAREST), x, below + 28)
    text(x, below + 106, "and the first bytes of the first heads of Q, a pixel three by three", 12, DIM)

    on_map("export-png", "--rect", f"{-MARGIN * 8},{top * 8},{width * 8},{HEIGHT * 8}", "--zoom", str(ZOOM), "-o", out)


main(*sys.argv[1:])
