# atoll_library(store SOURCES a.cc DEPS atoll::base PRIVATE_DEPS xxhash): target atoll_store, alias atoll::store.
# atoll_executable(atolld SOURCES main.cc DEPS ...): a program that is installed.
# atoll_test(store_test SOURCES store_test.cc DEPS atoll::store LABELS unit TIMEOUT 60): one GoogleTest binary.
# Includes are relative to the repository's root everywhere.

include(GNUInstallDirs)
include(GoogleTest)

function(_atoll_target_settings target carrier)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:atoll_flags>)
  atoll_first_header(${target} ${carrier})
endfunction()

function(atoll_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(atoll_${name} STATIC ${arg_SOURCES})
  add_library(atoll::${name} ALIAS atoll_${name})
  _atoll_target_settings(atoll_${name} atoll_precompiled)
  target_link_libraries(atoll_${name} PUBLIC ${arg_DEPS} PRIVATE ${arg_PRIVATE_DEPS})
endfunction()

function(atoll_executable name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  _atoll_target_settings(${name} atoll_precompiled)
  # First, so that its malloc is found before the C library's.
  if(ATOLL_MIMALLOC AND NOT ATOLL_SANITIZE)
    target_link_libraries(${name} PRIVATE mimalloc)
  endif()
  target_link_libraries(${name} PRIVATE ${arg_DEPS})
  install(TARGETS ${name} RUNTIME COMPONENT programs)
endfunction()

# Every test but those that start clusters of processes: what the sanitizers run.
add_custom_target(tests_in_process)

# Tests that start processes of their own count as two, so that `ctest -j` does not make them starve each other.
function(atoll_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  add_executable(${name} ${arg_SOURCES})
  set(processors 1)
  if("integration" IN_LIST arg_LABELS OR "fault" IN_LIST arg_LABELS)
    set(processors 2)
  else()
    add_dependencies(tests_in_process ${name})
  endif()
  _atoll_target_settings(${name} atoll_precompiled_test)
  target_link_libraries(${name} PRIVATE ${arg_DEPS} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST
    PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT} PROCESSORS ${processors}
      ENVIRONMENT "${ATOLL_TEST_ENVIRONMENT}")
endfunction()
