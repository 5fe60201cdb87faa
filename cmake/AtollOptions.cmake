# What a build can be asked for, and the flags that every target of ours gets through atoll_flags.

set(ATOLL_SANITIZE "" CACHE STRING "Sanitizers for our own code: empty, `address;undefined`, or `thread`")
option(ATOLL_PCH "Precompile the gRPC, Protobuf and GoogleTest headers" ON)
option(ATOLL_FAST_LINKER "Link by mold or lld where present" ON)
option(ATOLL_MIMALLOC "Link the programs with mimalloc (never under a sanitizer)" ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# The launcher carries its settings, so that a fresh machine caches as well as one that has a configuration
# file: paths relative to the tree let presets of one compiler share the generated code, and precompiled
# headers need the sloppiness.
find_program(ATOLL_CCACHE ccache)
if(ATOLL_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    ${ATOLL_CCACHE})
endif()

if(ATOLL_FAST_LINKER)
  find_program(ATOLL_MOLD NAMES mold)
  find_program(ATOLL_LLD NAMES ld.lld)
  if(ATOLL_MOLD)
    add_link_options(-fuse-ld=mold)
  elseif(ATOLL_LLD)
    add_link_options(-fuse-ld=lld)
  endif()
endif()

add_library(atoll_flags INTERFACE)
target_compile_options(atoll_flags INTERFACE
  -pthread -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wcast-qual -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(atoll_flags INTERFACE -Wthread-safety)
else()
  # gcc 12 at -O2 sees overruns, and unset or freed bytes, in inlined library code that are none (its bugs
  # 105329, 105651 and kin: std::string, absl::InlinedVector). clang and the sanitizers look for the real ones.
  target_compile_options(atoll_flags INTERFACE -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow
    -Wno-stringop-overread -Wno-maybe-uninitialized -Wno-uninitialized -Wno-free-nonheap-object
    -Wno-dangling-pointer -Wno-use-after-free)
  # It also warns of members left out of a designated initializer, which is what an options struct is for.
  target_compile_options(atoll_flags INTERFACE -Wno-missing-field-initializers)
endif()
if(ATOLL_SANITIZE)
  list(JOIN ATOLL_SANITIZE "," _sanitizers)
  target_compile_options(atoll_flags INTERFACE
    -fsanitize=${_sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${_sanitizers})
endif()

# The C library has a function of our namespace's name: see the header. Every C++ source sees it first; where
# headers are precompiled it is the first of those instead, because gcc ignores a precompiled header behind
# any other token.
add_library(atoll_namespace INTERFACE)
target_compile_options(atoll_namespace INTERFACE
  "SHELL:-include \"${PROJECT_SOURCE_DIR}/client/include/atoll/namespace.h\"")

# Reports name what was wrong and end the test; the suppressions are narrow, and each has its reason.
set(ATOLL_TEST_ENVIRONMENT)
if(ATOLL_SANITIZE STREQUAL "thread")
  set(ATOLL_TEST_ENVIRONMENT
    "TSAN_OPTIONS=suppressions='${PROJECT_SOURCE_DIR}/tests/tsan.supp' halt_on_error=1 second_deadlock_stack=1 ignore_noninstrumented_modules=1")
elseif(ATOLL_SANITIZE)
  set(ATOLL_TEST_ENVIRONMENT
    "ASAN_OPTIONS=detect_stack_use_after_return=1 strict_string_checks=1 detect_container_overflow=0"
    "LSAN_OPTIONS=suppressions='${PROJECT_SOURCE_DIR}/tests/lsan.supp' print_suppressions=0"
    "UBSAN_OPTIONS=print_stacktrace=1")
endif()
