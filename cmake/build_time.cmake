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

# Small sources of a room as one: most of their time goes into reading the same headers. Not where a missing include
# should be seen, nor where one source is built again and again. Names within a room must then differ.
option(HEED_BUILD_TOGETHER "compile a room's sources some at a time" OFF)
function(heed_build_together target together)
  if(NOT HEED_BUILD_TOGETHER)
    return()
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  # A constant of one source may have the name of another's parameter; the preset dev warns where it is the same source.
  target_compile_options(${target} PRIVATE -Wno-shadow)
  foreach(room IN LISTS ARGN)
    file(GLOB sources CONFIGURE_DEPENDS ${room}/*.cpp)
    set(number 0)
    foreach(source IN LISTS sources)
      math(EXPR part "${number} / ${together}")
      math(EXPR number "${number} + 1")
      set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${room}_${part})
    endforeach()
  endforeach()
endfunction()

# For code that calls the library and computes nothing itself (the command, the tests): optimising it takes longer than
# it ever gives back.
function(heed_light_optimisation target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release,RelWithDebInfo>:-O1>)
endfunction()
