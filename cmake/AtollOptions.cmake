# What a build can be asked for, and the flags that every target of ours gets through atoll_flags.

set(ATOLL_SANITIZE "" CACHE STRING "Sanitizers for our own code: empty, `address;undefined`, or `thread`")
option(ATOLL_PCH "Precompile the gRPC and Protobuf headers" ON)
option(ATOLL_LINK_TOGETHER "Use mold or lld where present" ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(ATOLL_CCACHE ccache)
if(ATOLL_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${ATOLL_CCACHE})
endif()

if(ATOLL_LINK_TOGETHER)
  find_program(ATOLL_MOLD NAMES mold)
  find_program(ATOLL_LLD NAMES ld.lld)
  if(ATOLL_MOLD)
    add_link_options(-fuse-ld=mold)
  elseif(ATOLL_LLD)
    add_link_options(-fuse-ld=lld)
  endif()
endif()

# The C library has a function of our namespace's name: see the header.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-include$<SEMICOLON>${PROJECT_SOURCE_DIR}/client/include/atoll/namespace.h>)

add_library(atoll_flags INTERFACE)
target_compile_options(atoll_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wcast-qual -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(atoll_flags INTERFACE -Wthread-safety)
endif()
if(ATOLL_SANITIZE)
  list(JOIN ATOLL_SANITIZE "," _sanitizers)
  target_compile_options(atoll_flags INTERFACE
    -fsanitize=${_sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${_sanitizers})
endif()
