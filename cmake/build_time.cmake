# What keeps a clean build short. The presets dev and scalar build without precompiled headers, so that a missing include
# does not go unseen.

# The standard headers take a third of the time that a source of the library needs to compile.
set(HEED_STANDARD_HEADERS <algorithm> <array> <cmath> <cstdint> <filesystem> <functional> <memory> <optional> <span>
  <string> <string_view> <utility> <vector>)

function(heed_precompile_headers target)
  target_precompile_headers(${target} ${ARGN})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT CMAKE_DISABLE_PRECOMPILE_HEADERS)
    # With precompiled headers GCC 12 takes the bounds inside std::string for ours (GCC bug 105329 again).
    target_compile_options(${target} PRIVATE -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread)
  endif()
endfunction()

# For code that calls the library and computes nothing itself (the command, the tests): optimising it takes longer than
# it ever gives back.
function(heed_light_optimisation target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release,RelWithDebInfo>:-O1>)
endfunction()
