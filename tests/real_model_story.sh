#!/usr/bin/env bash
# The main job end to end on the default model: get, import, verify, run, export, compare.
# Leaves the picture in the cache folder; everything else goes to a temporary one.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. tools/common.sh
pixellm=$PWD/build/release/pixellm
picture=$cache_folder/${model_file%.gguf}.png
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

step() { say "== $*"; }
fail() { die "real model story: $*"; }

step "./run answers (installing, fetching and importing on the way)"
first=$(./run "Why is the sky blue?" -n 24 --temp 0)
[ -n "$first" ] || fail "no answer"
say "$first"

step "the same answer on one thread and token by token"
second=$("$pixellm" run "$picture" --chat -p "Why is the sky blue?" -n 24 --temp 0 --threads 1 --batch 1)
[ "$first" = "$second" ] || fail "the answers differ: '$first' and '$second'"

step "verify"
"$pixellm" verify "$picture"
cp "$picture" "$tmp/damaged.png"
printf '\377' | dd of="$tmp/damaged.png" bs=1 seek=50000000 conv=notrunc status=none
if "$pixellm" verify "$tmp/damaged.png" >"$tmp/damage.txt"; then fail "a damaged picture passed"; fi
grep -q '^row' "$tmp/damage.txt" || fail "the damaged row is not named"
cat "$tmp/damage.txt" >&2
if "$pixellm" run "$tmp/damaged.png" -p Hello -n 1 2>"$tmp/refused.txt"; then fail "a damaged picture ran"; fi

step "export gives the published GGUF back, and importing that gives the same picture"
"$pixellm" export "$picture" -o "$tmp/back.gguf"
echo "$model_sha256  $tmp/back.gguf" | sha256sum --check --quiet || fail "the exported GGUF is not the published one"
"$pixellm" import "$tmp/back.gguf" -o "$tmp/again.png"
cmp "$picture" "$tmp/again.png" || fail "importing the export gives another picture"

step "numbers"
"$pixellm" bench "$picture" -p 128 -n 32 -r 2
say "real model story: passed"
