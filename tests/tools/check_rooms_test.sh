#!/bin/sh
# check_rooms_test.sh CHECK_ROOMS: what check_rooms takes and what it refuses, on houses made for it.
set -eu
check=$1
house=$(mktemp -d)
trap 'rm -rf "$house"' EXIT
mkdir -p "$house/include/heed" "$house/src/base" "$house/src/ops" "$house/src/cli"

# FILE INCLUDE: a house whose only file has this one include
takes() {
  printf '#include %s\n' "$2" >"$house/$1"
  "$check" "$house" >/dev/null || { echo "refused: $2 in $1"; exit 1; }
  rm "$house/$1"
}
refuses() {
  printf '#pragma once\n#include %s\n' "$2" >"$house/$1"
  if said=$("$check" "$house"); then echo "taken: $2 in $1"; exit 1; fi
  case $said in "$1:2: "*) ;; *) echo "$2 in $1: no file and line in: $said"; exit 1 ;; esac
  rm "$house/$1"
}

takes include/heed/tensor.h '<vector>'
takes include/heed/tensor.h '<heed/error.h>'
refuses include/heed/tensor.h '"base/log.h"'
refuses include/heed/tensor.h '<immintrin.h>'
refuses include/heed/tensor.h '<nlohmann/json.hpp>'
takes src/ops/add.cpp '"ops/add.h"'
takes src/ops/add.cpp '"base/log.h"  // a remark'
takes src/cli/train.cpp '"ops/add.h"'
refuses src/base/log.h '"ops/add.h"'
refuses src/ops/add.cpp '"cli/train.h"'
refuses src/ops/add.cpp '"add.h"'
refuses src/ops/add.cpp '"heed/tensor.h"'
refuses src/ops/add.cpp '<base/log.h>'
refuses src/ops/add.h '<toml++/toml.h>'
takes src/ops/add.cpp '<toml++/toml.h>'
refuses src/ops/add.cpp '<CLI/CLI.hpp>'
takes src/cli/commands.h '<CLI/CLI.hpp>'
mkdir "$house/src/attic"
printf '#include <vector>\n' >"$house/src/attic/old.h"
case $("$check" "$house") in "src/attic/old.h:1: src/attic is no room"*) ;; *) echo "taken: src/attic"; exit 1 ;; esac
