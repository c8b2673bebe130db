#!/bin/sh
# find_package_test.sh BUILD_FOLDER COMPILER FLAGS: installs the build, and builds and runs a program that finds it with
# find_package.
set -eu
source=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$1" --prefix "$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }
cmake -G Ninja -S "$source/find_package" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DCMAKE_CXX_COMPILER="$2" -DCMAKE_CXX_FLAGS="$3"
cmake --build "$work/build"
[ "$("$work/build/consumer")" = "[3]" ]
[ "$("$work/build/attention_consumer")" = "[3]" ]
[ ! -x "$1/heed" ] || "$work/prefix/bin/heed" --version
