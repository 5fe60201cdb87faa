# atoll::version: what base/version.h says, with the commit as it was when CMake last looked. A new commit makes
# CMake look again. A tree without git (an unpacked archive, an image's build) says what ATOLL_COMMIT says.

set(ATOLL_COMMIT "" CACHE STRING "The commit that --version prints; empty: ask git")

set(_commit ${ATOLL_COMMIT})
if(NOT _commit)
  find_package(Git QUIET)
  if(GIT_FOUND)
    execute_process(COMMAND ${GIT_EXECUTABLE} -C ${PROJECT_SOURCE_DIR} rev-parse --short=12 HEAD
      OUTPUT_VARIABLE _commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    execute_process(COMMAND ${GIT_EXECUTABLE} -C ${PROJECT_SOURCE_DIR} rev-parse --path-format=absolute --git-path logs/HEAD
      OUTPUT_VARIABLE _head OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(_head AND EXISTS ${_head})
      set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${_head})
    endif()
  endif()
endif()
if(NOT _commit)
  set(_commit unknown)
endif()

configure_file(${PROJECT_SOURCE_DIR}/base/version.cc.in ${PROJECT_BINARY_DIR}/generated/base/version.cc @ONLY)
atoll_library(version SOURCES ${PROJECT_BINARY_DIR}/generated/base/version.cc)
