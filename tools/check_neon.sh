#!/usr/bin/env bash
# Compiles the kernels for AArch64 and runs the NEON table against the scalar one under qemu-user.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
out=build/neon
mkdir -p "$out"
flags=(-std=c++23 -O2 -ffp-contract=off -Wall -Wextra -Isrc -static)
ls src/kernels >/dev/null
sources=(src/kernels/neon_check.cpp src/kernels/scalar*.cpp src/kernels/dispatch.cpp src/kernels/rope.cpp src/kernels/neon_*.cpp
  src/tensor/cells*.cpp src/tensor/dtype.cpp src/base/error.cpp)
aarch64-linux-gnu-g++ "${flags[@]}" $(printf '%s\n' "${sources[@]}" | grep -v _test | sort -u) -o "$out/neon_check"
qemu-aarch64 -cpu max "$out/neon_check"
