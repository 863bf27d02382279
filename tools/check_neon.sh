#!/usr/bin/env bash
# Compiles the kernels' tests for AArch64, with GoogleTest from its Debian sources, and runs them under qemu-user: the
# NEON table against the scalar one, bit for bit.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
out=build/neon
gtest=/usr/src/googletest/googletest
mkdir -p "$out"
flags=(-std=c++23 -O2 -ffp-contract=off -Wall -Wextra -Wno-psabi -Isrc -isystem "$gtest/include")

sources=(src/kernels/neon_*.cpp src/kernels/isas_arm.cpp)
for file in src/kernels/*.cpp src/tensor/*.cpp src/base/error.cpp; do
  case $file in
    src/kernels/avx*.cpp | src/kernels/neon_*.cpp | src/kernels/isas_*.cpp | src/tensor/*_test.cpp) ;;
    *) sources+=("$file") ;;
  esac
done

compile() {   # compile SOURCE FLAGS...
  aarch64-linux-gnu-g++ "${flags[@]}" "${@:2}" -c "$1" -o "$out/$(basename "$1").o"
}
objects=("$out/gtest-all.cc.o" "$out/gtest_main.cc.o")
compile "$gtest/src/gtest-all.cc" "-I$gtest"
compile "$gtest/src/gtest_main.cc" "-I$gtest"
for file in "${sources[@]}"; do
  compile "$file"
  objects+=("$out/$(basename "$file").o")
done
aarch64-linux-gnu-g++ -static "${objects[@]}" -o "$out/kernels_test" 2>"$out/link.txt" || { cat "$out/link.txt" >&2; exit 1; }
qemu-aarch64 -cpu max "$out/kernels_test" --gtest_brief=1
