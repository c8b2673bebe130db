function(heed_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wcast-qual)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC 12 warns of overlapping copies inside std::string that cannot happen (GCC bug 105329).
    target_compile_options(${target} PRIVATE -Wno-restrict)
  endif()
  # GCC warns of code that it has instrumented itself: unset variables, loops that it cannot unroll.
  if(HEED_WARNINGS_AS_ERRORS AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
