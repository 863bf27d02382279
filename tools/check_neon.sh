#!/usr/bin/env bash
# Cross-compiles the kernels and their tests for AArch64 and runs them under qemu-user: NEON against scalar, bit for bit.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
out=build/neon
mkdir -p "$out"
gtest=/usr/src/googletest/googletest
sources=(src/kernels/{dispatch,rope,scalar,scalar_attention,scalar_products,isas_arm,neon_ops,neon_matmul}.cpp
  src/kernels/*_test.cpp src/tensor/{cells,dequantize,dtype}.cpp src/base/error.cpp "$gtest"/src/gtest-all.cc "$gtest"/src/gtest_main.cc)
flags=(-std=c++23 -O2 -ffp-contract=off -Wall -Wextra -Wno-psabi -Isrc -isystem "$gtest/include" -isystem "$out/include" -I"$gtest"
  -DFMT_HEADER_ONLY "-DPIXELLM_SOURCE_DIR=\"$PWD\"")
# fmt's headers serve every architecture; the folder that holds them also has x86 ones, so only fmt is let in.
mkdir -p "$out/include"
ln -sfn /usr/include/fmt "$out/include/fmt"
{
  echo "all: $out/kernels_test"
  objects=()
  for source in "${sources[@]}"; do
    object=$out/$(basename "${source%.*}").o
    objects+=("$object")
    printf '%s: %s\n\taarch64-linux-gnu-g++ %s -c $< -o $@\n' "$object" "$source" "$(printf '%q ' "${flags[@]}")"
  done
  printf '%s: %s\n\taarch64-linux-gnu-g++ -static -o $@ $^\n' "$out/kernels_test" "${objects[*]}"
} >"$out/Makefile"
make -s -j2 -f "$out/Makefile"
qemu-aarch64 -cpu max "$out/kernels_test" "$@"
