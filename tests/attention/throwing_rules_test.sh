#!/bin/sh
# throwing_rules_test.sh SOURCE COMPILER: rules that may throw do not compile, and the compiler says why; others do.
set -eu
source=$1
compiler=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

compiles() { "$compiler" -std=c++20 -fsyntax-only -I "$source/include" "$1" 2> "$folder/message"; }

cat > "$folder/safe.cpp" << 'END'
#include <heed/attention.h>
using namespace heed;
const ScoreRule distance = score("distance", [](auto s, const auto& at) noexcept { return s - abs(at.query - at.key); });
const Mask traced = mask("traced", [](const auto& at) noexcept { return at.key <= at.query; });
const Mask plain = mask("plain", [](int, int, std::int64_t, std::int64_t) noexcept { return true; });
END
compiles "$folder/safe.cpp" || { cat "$folder/message" >&2; exit 1; }

# Each line is refused for the reason behind it.
cat > "$folder/lines" << 'END'
score("unsafe", [](auto s, const auto&) { return s; })|a score rule must not throw: declare the lambda noexcept
score("text", [](auto, const auto&) noexcept { return "text"; })|a score rule gives a number
mask("unsafe", [](const auto& at) { return at.key < 3; })|a mask's rule must not throw: declare the lambda noexcept
mask("number", [](const auto& at) noexcept { return at.key; })|a mask's rule gives a condition
mask("plain", [](int, int, std::int64_t, std::int64_t) { return true; })|a mask's rule must not throw: declare the lambda
END
{
  echo '#include <heed/attention.h>'
  echo 'using namespace heed;'
  awk -F'|' '{ printf "auto rule%d() { return %s; }\n", NR, $1 }' "$folder/lines"
} > "$folder/unsafe.cpp"
if compiles "$folder/unsafe.cpp"; then echo "rules that may throw compile" >&2; exit 1; fi
while IFS='|' read -r rule sentence; do
  grep -q "$sentence" "$folder/message" || { echo "not refused: $rule" >&2; exit 1; }
done < "$folder/lines"
refusals=$(grep -c "error: static.assert" "$folder/message")
[ "$refusals" -ge 5 ] || { cat "$folder/message" >&2; exit 1; }
