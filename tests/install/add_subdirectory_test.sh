#!/bin/sh
# add_subdirectory_test.sh SOURCE_FOLDER COMPILER: configures a project that takes heed in with add_subdirectory.
set -eu
source=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake -G Ninja -S "$source/add_subdirectory" -B "$work" -DHEED_SOURCE_FOLDER="$1" -DCMAKE_CXX_COMPILER="$2"
