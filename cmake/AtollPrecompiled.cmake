# The headers that cost most and change never, compiled once per build: gRPC alone is two seconds of each source
# that includes it. Measured per source, g++ -O2: 3.1 s down to 1.1 s with gRPC, 2.2 s to 1.4 s with GoogleTest.
# Nothing may lean on them: the dev preset builds without, and scripts/lint compiles every header alone.

function(_atoll_precompile target)
  file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/precompiled/${target}.cc CONTENT "// Carries the precompiled header.\n")
  add_library(${target} OBJECT ${PROJECT_BINARY_DIR}/precompiled/${target}.cc)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${target} PRIVATE atoll_flags protobuf::libprotobuf gRPC::grpc++
    absl::strings absl::statusor absl::flat_hash_map absl::time ${ARGN})
  # Lets ccache keep what is compiled against them.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PUBLIC -fpch-preprocess)
  else()
    target_compile_options(${target} PUBLIC "SHELL:-Xclang -fno-pch-timestamp")
  endif()
endfunction()

# By names that are the same in every clone, so that ccache serves a second one.
set(ATOLL_PRECOMPILED_HEADERS
  <client/include/atoll/namespace.h>
  <algorithm> <chrono> <functional> <map> <memory> <optional> <string> <string_view> <utility> <vector>
  <absl/container/flat_hash_map.h> <absl/status/statusor.h> <absl/strings/str_cat.h> <absl/time/time.h>
  <google/protobuf/message.h> <grpcpp/grpcpp.h>)

if(ATOLL_PCH)
  _atoll_precompile(atoll_precompiled)
  target_precompile_headers(atoll_precompiled PRIVATE ${ATOLL_PRECOMPILED_HEADERS})
  _atoll_precompile(atoll_precompiled_test GTest::gmock GTest::gtest)
  target_precompile_headers(atoll_precompiled_test PRIVATE ${ATOLL_PRECOMPILED_HEADERS} <gmock/gmock.h> <gtest/gtest.h>)
endif()

# Gives a target of ours its first header: the precompiled ones of `carrier`, or namespace.h alone.
function(atoll_first_header target carrier)
  if(ATOLL_PCH)
    target_precompile_headers(${target} REUSE_FROM ${carrier})
    target_compile_options(${target} PRIVATE $<TARGET_PROPERTY:${carrier},INTERFACE_COMPILE_OPTIONS>)
  else()
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:atoll_namespace>)
  endif()
endfunction()
