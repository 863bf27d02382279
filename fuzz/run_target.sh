#!/usr/bin/env bash
# run_target.sh PROGRAM SEEDS: fuzzes for PIXELLM_FUZZ_SECONDS (default 10); a crash leaves its input beside PROGRAM.
set -euo pipefail
program=$1 seeds=$2
found=$program.corpus
mkdir -p "$found"
[ -d "$seeds" ] || seeds=
exec "$program" -max_total_time="${PIXELLM_FUZZ_SECONDS:-10}" -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=20 \
  -artifact_prefix="$program." -print_final_stats=1 "$found" $seeds
