#!/bin/sh
# find_package_test.sh BUILD_FOLDER COMPILER FLAGS: installs the build, and builds and runs programs that find it with
# find_package: one of the whole library, and those of the attention library, which must do without what only the rest
# needs.
set -eu
source=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$1" --prefix "$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }
configure() {
  folder=$1 && shift
  cmake -G Ninja -S "$source/$folder" -B "$work/$folder" -DCMAKE_PREFIX_PATH="$work/prefix" "$@"
}
configure find_package -DCMAKE_CXX_COMPILER="$2" -DCMAKE_CXX_FLAGS="$3"
cmake --build "$work/find_package"
[ "$("$work/find_package/consumer")" = "[3]" ]
configure attention -DCMAKE_CXX_COMPILER="$2" -DCMAKE_CXX_FLAGS="$3" \
  -DCMAKE_DISABLE_FIND_PACKAGE_ZLIB=ON -DCMAKE_DISABLE_FIND_PACKAGE_PkgConfig=ON
cmake --build "$work/attention" --target run_all
[ ! -x "$1/heed" ] || "$work/prefix/bin/heed" --version
