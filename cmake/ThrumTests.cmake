# SPDX-License-Identifier: MIT
# thrum_add_test: how a test program is built and run.
include_guard()

find_path(CMOCKA_INCLUDE_DIR cmocka.h)
find_library(CMOCKA_LIBRARY cmocka)
if(NOT CMOCKA_INCLUDE_DIR OR NOT CMOCKA_LIBRARY)
  message(FATAL_ERROR "The tests need cmocka: run tools/deps.sh test, or configure with -DTHRUM_TESTS=OFF.")
endif()

set(THRUM_TEST_ENVIRONMENT "CMOCKA_TEST_ABORT=1;THRUM_PROGRAM=${PROJECT_BINARY_DIR}/tools/thrum")
set(THRUM_TEST_SLOWER 1)
if(THRUM_SANITIZE MATCHES "address")
  list(APPEND THRUM_TEST_ENVIRONMENT "ASAN_OPTIONS=detect_stack_use_after_return=0"
       "UBSAN_OPTIONS=print_stacktrace=1")
  set(THRUM_TEST_SLOWER 3)
elseif(THRUM_SANITIZE MATCHES "thread")
  list(APPEND THRUM_TEST_ENVIRONMENT "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")
  set(THRUM_TEST_SLOWER 5)
elseif(CMAKE_CROSSCOMPILING)
  set(THRUM_TEST_SLOWER 5)
endif()

# thrum_add_test(LAYER NAME [LABELS label...] [DIR directory] [SERIAL])
#
# Builds tests/LAYER/test_NAME.c (DIR: lies elsewhere) and runs it as LAYER.NAME.  Labels: the layer, and unit (the
# default), loopback, stress or slow.  SERIAL: alone, for a test that measures how work spreads.
function(thrum_add_test layer name)
  cmake_parse_arguments(PARSE_ARGV 2 arg "SERIAL" "DIR" "LABELS")
  if(NOT layer IN_LIST THRUM_LAYERS AND NOT arg_DIR)
    return() # not built, hence no tests
  endif()
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  if(NOT arg_DIR)
    set(arg_DIR ${layer})
  endif()
  set(target test_${layer}_${name})
  add_executable(${target} ${arg_DIR}/test_${name}.c)
  thrum_configure(${target})
  target_link_libraries(${target} PRIVATE thrum_test_support)
  if(TARGET thrum_${layer})
    get_target_property(libraries thrum_${layer} THRUM_PRIVATE) # a test may include the layer's private headers
    target_link_libraries(${target} PRIVATE thrum::${layer} ${libraries})
  endif()
  if(layer STREQUAL "tools" AND TARGET thrum_program)
    add_dependencies(${target} thrum_program)
  endif()

  math(EXPR timeout "60 * ${THRUM_TEST_SLOWER}") # many times what an idle machine needs
  if("slow" IN_LIST arg_LABELS OR "stress" IN_LIST arg_LABELS)
    math(EXPR timeout "180 * ${THRUM_TEST_SLOWER}")
  endif()
  add_test(NAME ${layer}.${name} COMMAND ${target})
  set_tests_properties(
    ${layer}.${name}
    PROPERTIES LABELS "${layer};${arg_LABELS}"
               SKIP_RETURN_CODE 77
               TIMEOUT ${timeout}
               RUN_SERIAL "${arg_SERIAL}"
               ENVIRONMENT "${THRUM_TEST_ENVIRONMENT}")
endfunction()
