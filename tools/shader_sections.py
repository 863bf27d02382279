#!/usr/bin/env python3
"""WGSL has no include, and each shader is whole as it stands: what several have in common stands in each, between
`// ---- shared: NAME` and `// ---- end`. `shader_sections.py --check` fails where two files differ in a section;
`shader_sections.py --from FILE` copies FILE's sections into the others."""

import argparse
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "src" / "gpu" / "shaders"
SECTION = re.compile(r"^// ---- shared: (\w+)\n(.*?)^// ---- end\n", re.MULTILINE | re.DOTALL)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="compare all files; exit 1 on a difference")
    what.add_argument("--from", dest="source", metavar="FILE", help="copy this file's sections into the others")
    arguments = parser.parse_args()

    texts = {path: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.wgsl"))}
    if arguments.source:
        source = FOLDER / pathlib.Path(arguments.source).name
        sections = dict(SECTION.findall(texts[source]))
        for path, text in texts.items():
            put = SECTION.sub(
                lambda m: f"// ---- shared: {m[1]}\n{sections.get(m[1], m[2])}// ---- end\n", text)
            if put != text:
                path.write_text(put, encoding="utf-8")
                print(f"{path.name}: brought up to date")
        return 0

    first = {}
    differing = 0
    for path, text in texts.items():
        for name, body in SECTION.findall(text):
            where, other = first.setdefault(name, (path, body))
            if body != other:
                print(f"{path.name}: section {name} is not as in {where.name}", file=sys.stderr)
                differing += 1
    print(f"{len(texts)} shaders, {len(first)} shared sections, {differing} differences")
    return 1 if differing or not first else 0


if __name__ == "__main__":
    sys.exit(main())
