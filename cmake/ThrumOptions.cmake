# SPDX-License-Identifier: MIT
# thrum_options: how everything in this tree is compiled; never installed, never seen by a consumer.
include(CheckCCompilerFlag)
include(CMakeDependentOption)

# Finds locks of threads that are held across suspensions (exec/heldlock.h). It stands before the C library's functions, as
# sanitizers do: not both.
cmake_dependent_option(THRUM_DEBUG_LOCKS "Report pthread locks that a suspending task holds" ON
                       "CMAKE_BUILD_TYPE STREQUAL \"Debug\";NOT THRUM_SANITIZE" OFF)

add_library(thrum_options INTERFACE)
target_compile_features(thrum_options INTERFACE c_std_17)
target_compile_definitions(thrum_options INTERFACE _GNU_SOURCE)
target_compile_options(
  thrum_options
  INTERFACE -fno-omit-frame-pointer # gdb and perf unwind a parked task by it
            -Wall
            -Wextra
            -Wshadow
            -Wundef
            -Wvla
            -Wformat=2
            -Wconversion
            -Wno-sign-conversion
            -Wcast-align
            -Wcast-qual
            -Wwrite-strings
            -Wstrict-prototypes
            -Wmissing-prototypes)

# A frame larger than the guard must fault in the guard, not beyond it.
check_c_compiler_flag(-fstack-clash-protection THRUM_HAVE_STACK_CLASH_PROTECTION)
if(THRUM_HAVE_STACK_CLASH_PROTECTION)
  target_compile_options(thrum_options INTERFACE -fstack-clash-protection)
endif()

# The switch enters a task by jmp to the middle of a function, where indirect branch tracking wants an endbr64.
check_c_compiler_flag(-fcf-protection=none THRUM_HAVE_CF_PROTECTION)
if(THRUM_HAVE_CF_PROTECTION)
  target_compile_options(thrum_options INTERFACE -fcf-protection=none)
endif()

# For what runs in tasks: a frame is small beside a stack of 64 KiB.
set(THRUM_FRAME_FLAGS -Wframe-larger-than=4096)
if(THRUM_SANITIZE)
  set(THRUM_FRAME_FLAGS) # instrumentation makes frames larger ...
  check_c_compiler_flag(-Wmaybe-uninitialized THRUM_HAVE_MAYBE_UNINITIALIZED)
  if(THRUM_HAVE_MAYBE_UNINITIALIZED) # ... and gcc see uninitialised variables that are not (its manual says so)
    target_compile_options(thrum_options INTERFACE -Wno-maybe-uninitialized)
  endif()
  set(THRUM_SANITIZE_FLAGS "-fsanitize=${THRUM_SANITIZE}" -fno-sanitize-recover=all)
  target_compile_options(thrum_options INTERFACE ${THRUM_SANITIZE_FLAGS})
  target_link_options(thrum_options INTERFACE ${THRUM_SANITIZE_FLAGS})
endif()
