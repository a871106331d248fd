# SPDX-License-Identifier: MIT
# How this tree makes its libraries, programs and tests.
include_guard()

# Every target passes here: the house's options, C17 without extensions, nothing exported that is not THRUM_API.
function(thrum_configure target)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:thrum_options>)
  set_target_properties(${target} PROPERTIES C_EXTENSIONS OFF C_VISIBILITY_PRESET hidden
                                             POSITION_INDEPENDENT_CODE ON)
  target_include_directories(${target} PRIVATE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
endfunction()

# thrum_add_layer(NAME SOURCES file... [PUBLIC library...] [PRIVATE library...])
#
# Makes libthrum_NAME.a, alias thrum::NAME.  Its objects go into libthrum as well (thrum_add_library).
function(thrum_add_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;PUBLIC;PRIVATE")
  add_library(thrum_${name}_objects OBJECT ${arg_SOURCES})
  thrum_configure(thrum_${name}_objects)
  target_compile_options(thrum_${name}_objects PRIVATE ${THRUM_FRAME_FLAGS})
  target_link_libraries(thrum_${name}_objects PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  target_include_directories(thrum_${name}_objects PRIVATE ${PROJECT_SOURCE_DIR}/include)

  add_library(thrum_${name} STATIC $<TARGET_OBJECTS:thrum_${name}_objects>)
  add_library(thrum::${name} ALIAS thrum_${name})
  thrum_configure(thrum_${name})
  target_link_libraries(thrum_${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  target_include_directories(
    thrum_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                         $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(thrum_${name} PROPERTIES EXPORT_NAME ${name} LINKER_LANGUAGE C
                                                  THRUM_PRIVATE "${arg_PRIVATE}")
endfunction()

# thrum_add_library(NAME LAYER...): all layers as one library, thrum::NAME (shared) and thrum::NAME_static.
function(thrum_add_library name)
  set(objects)
  foreach(layer IN LISTS ARGN)
    list(APPEND objects $<TARGET_OBJECTS:thrum_${layer}_objects>)
  endforeach()
  set(libraries PkgConfig::THRUM_CARES MbedTLS36::MbedTLS36 ZLIB::ZLIB Threads::Threads)

  add_library(${name}_static STATIC ${objects})
  add_library(${name}_shared SHARED ${objects})
  add_library(${name}::${name}_static ALIAS ${name}_static)
  add_library(${name}::${name} ALIAS ${name}_shared)
  foreach(target ${name}_static ${name}_shared)
    thrum_configure(${target})
    target_link_libraries(${target} PRIVATE ${libraries})
    target_include_directories(
      ${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                       $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name} LINKER_LANGUAGE C)
  endforeach()
  set_target_properties(${name}_static PROPERTIES EXPORT_NAME ${name}_static)
  set_target_properties(
    ${name}_shared PROPERTIES EXPORT_NAME ${name} VERSION ${PROJECT_VERSION}
                              SOVERSION ${PROJECT_VERSION_MAJOR})
  # Archives linked in (a private mbedTLS) stay private: nobody else's mbedTLS may bind to them.
  target_link_options(${name}_shared PRIVATE -Wl,--exclude-libs,ALL)
  if(NOT THRUM_SANITIZE) # clang leaves the sanitizers' symbols to the program
    target_link_options(${name}_shared PRIVATE -Wl,-z,defs)
  endif()
endfunction()

# thrum_add_program(TARGET SOURCES file... [LIBRARIES library...])
function(thrum_add_program target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  add_executable(${target} ${arg_SOURCES})
  thrum_configure(${target})
  target_compile_options(${target} PRIVATE ${THRUM_FRAME_FLAGS})
  target_link_libraries(${target} PRIVATE ${arg_LIBRARIES})
endfunction()
