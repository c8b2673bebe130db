#!/bin/sh
# check_symbols_test.sh CHECK_SYMBOLS COMPILER: objects that keep to themselves pass; one that leaks is named.
set -eu
check=$1
compiler=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/kernels_portable.dir" "$folder/kernels_avx2.dir"

if "$check" "$folder" 2> "$folder/message"; then echo "passes where there is no object file" >&2; exit 1; fi
grep -q "no object files of kernels under $folder" "$folder/message"

echo 'namespace heed::avx2 { inline int one() { return 1; } int (*table)() = one; } static int own; int* heed_unseen();
namespace { int hidden() { return own; } } namespace heed::avx2 { int two() { return hidden(); } }' > "$folder/kept.cpp"
"$compiler" -std=c++20 -c "$folder/kept.cpp" -o "$folder/kernels_portable.dir/kept.cpp.o"
"$compiler" -std=c++20 -c "$folder/kept.cpp" -o "$folder/kernels_avx2.dir/kept.cpp.o"
"$check" "$folder" > /dev/null

echo 'inline int leaked() { return 1; } namespace heed::avx2 { int (*table)() = leaked; }' > "$folder/leaks.cpp"
"$compiler" -std=c++20 -c "$folder/leaks.cpp" -o "$folder/kernels_avx2.dir/leaks.cpp.o"
if "$check" "$folder" > /dev/null 2> "$folder/message"; then echo "a leaked function passes" >&2; exit 1; fi
grep -q "leaks.cpp.o: defines outside of heed::avx2: leaked()" "$folder/message"
