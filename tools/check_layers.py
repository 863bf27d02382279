#!/usr/bin/env python3
"""Checks the invariants that ARCHITECTURE.md prints: who may include whom, who may print. Usage: check_layers.py ROOT"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
src = root / "src"
PRINTS = re.compile(r"\b(?:std::)?(?:printf|fprintf|puts|fputs|perror)\s*\(|std::(?:cout|cerr|clog)\b|fmt::print\b|\b(?:std::)?(?:exit|_exit|abort)\s*\(")
MAY_PRINT = {"cli", "server"}
# The one place where a broken promise of our own code ends the program.
PRINT_EXCEPTIONS = {"base/error.cpp"}
PRIVATE_HEADERS = re.compile(r"#include [<\"](fmt/|CLI/|nlohmann/|openssl/|libdeflate|spng|utf8proc|lmdb|lz4|zstd|webgpu|wgpu)")
# Headers of gpu's own .cpp files: WebGPU's types are there and nowhere else.
WEBGPU_HEADERS = {"gpu/webgpu_api.h", "gpu/device_state.h", "gpu/encoding.h"}


def declared_dependencies():
    direct = {}
    for folder in sorted(p for p in src.iterdir() if (p / "CMakeLists.txt").exists()):
        text = (folder / "CMakeLists.txt").read_text()
        m = re.search(r"pixellm_library\(\s*%s\b(.*?)\)" % folder.name, text, re.S)
        body = m.group(1) if m else ""
        d = re.search(r"DEPENDS\s+(.*?)(?:LIBRARIES|SOURCES|$)", body, re.S)
        direct[folder.name] = set(d.group(1).split()) if d else set()
        if folder.name == "cli":
            direct["cli"] = {p.name for p in src.iterdir() if p.is_dir()} - {"cli"}
    closed = {}

    def close(name, trail=()):
        if name in trail:
            sys.exit(f"check_layers: cycle {' <- '.join(trail + (name,))}")
        if name not in closed:
            closed[name] = set(direct[name]).union(*(close(d, trail + (name,)) for d in direct[name]))
        return closed[name]

    for name in direct:
        close(name)
    return closed


def main():
    allowed = declared_dependencies()
    problems = []
    files = [f for f in sorted(src.rglob("*")) if f.suffix in (".h", ".cpp")]
    if not files or not allowed:
        sys.exit("check_layers: found nothing to check")
    for f in files:
        part = f.relative_to(src).parts[0]
        where = str(f.relative_to(src))
        is_test = "_test" in f.name or f.name.startswith("tiny_model") or "builder" in f.name
        for number, line in enumerate(f.read_text().splitlines(), 1):
            m = re.match(r'\s*#include "([a-z0-9_]+)/', line)
            if m and m.group(1) != part and m.group(1) not in allowed.get(part, set()) and not is_test:
                problems.append(f"{where}:{number}: {part} may not include {m.group(1)}")
            if m and f"{m.group(1)}/{line.split('/', 1)[1].split(chr(34))[0]}" in WEBGPU_HEADERS and (
                    part != "gpu" or (f.suffix == ".h" and where not in WEBGPU_HEADERS)):
                problems.append(f"{where}:{number}: WebGPU's types stay in the .cpp files of gpu")
            if f.suffix == ".h" and part != "cli" and where != "gpu/webgpu_api.h" and PRIVATE_HEADERS.match(line):
                problems.append(f"{where}:{number}: a dependency's header in a public header")
            code = line.split("//")[0]
            if part not in MAY_PRINT and not is_test and where not in PRINT_EXCEPTIONS and PRINTS.search(code):
                problems.append(f"{where}:{number}: only cli and server print or exit: {line.strip()}")
            if part == "kernels" and not is_test and re.match(r'\s*#include (<fstream>|"base/file\.h"|"model/)', line):
                problems.append(f"{where}:{number}: kernels does no I/O and knows no model")
    print("\n".join(problems) or f"{len(files)} files keep the layers")
    sys.exit(1 if problems else 0)


main()
