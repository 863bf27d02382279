#!/usr/bin/env bash
# Builds the browser's page and runtime into build/web: static files that any web server with range requests can serve.
# Called by ./run --web and ./test --web.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. tools/common.sh

need_packages "${build_packages[@]}" "${web_packages[@]}"
command -v node >/dev/null || need_packages nodejs
command -v npm >/dev/null || need_packages npm

build release make_char_classes
wasm=build/wasm
if [ ! -f $wasm/build.ninja ]; then
  say "Configuring $wasm"
  cmake -S web/wasm -B $wasm -G Ninja "-DCMAKE_TOOLCHAIN_FILE=$PWD/web/wasm/toolchain.cmake" \
    "-DPIXELLM_CHAR_CLASSES=$PWD/build/release/make_char_classes" >$wasm.log 2>&1 || { cat $wasm.log >&2; die "configuring failed"; }
fi
ninja -C $wasm >&2 || die "the build of the WebAssembly module failed"

# npm ci makes node_modules anew each time: only where the lock changed.
modules=web/runtime/node_modules
if [ ! -f $modules/.package-lock.json ] || [ web/runtime/package-lock.json -nt $modules/.package-lock.json ]; then
  say "Getting the TypeScript compiler (npm)"
  npm ci --prefix web/runtime --no-audit --no-fund --ignore-scripts >&2 || die "npm could not get the TypeScript compiler. Is there a network?"
fi
out=build/web
mkdir -p $out/shaders
node $modules/typescript/bin/tsc -p web/runtime >&2 || die "the TypeScript of web/runtime does not compile"
cp web/runtime/index.html web/runtime/style.css $out/
cp $wasm/pixellm $out/pixellm.wasm
rm -f $out/shaders/*.wgsl
cp src/gpu/shaders/*.wgsl $out/shaders/
