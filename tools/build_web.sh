#!/usr/bin/env bash
# Builds the browser's page and runtime into build/web: static files that any web server with range requests can serve.
#   build_web.sh [PRESET]      of the build whose helper programs are used (release)
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. tools/common.sh

need_packages "${build_packages[@]}" "${web_packages[@]}"
command -v node >/dev/null || need_packages nodejs
command -v npm >/dev/null || need_packages npm

preset=${1-release}
build "$preset" make_char_classes
wasm=build/wasm
mkdir -p $wasm
cmake -S web/wasm -B $wasm -G Ninja "-DCMAKE_TOOLCHAIN_FILE=$PWD/web/wasm/toolchain.cmake" \
  "-DPIXELLM_CHAR_CLASSES=$PWD/build/$preset/make_char_classes" >$wasm/configure.log 2>&1 ||
  { cat $wasm/configure.log >&2; die "configuring $wasm failed"; }
say "Building the WebAssembly module and the page"
ninja -C $wasm >$wasm/build.log 2>&1 || { cat $wasm/build.log >&2; die "the build of the WebAssembly module failed"; }

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
