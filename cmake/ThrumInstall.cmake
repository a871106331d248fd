# SPDX-License-Identifier: MIT
# What is installed: the headers, libthrum shared and static, each layer's archive, thrum.pc, the CMake package, the
# program.  A private mbedTLS goes along into lib/thrum, because a program linked statically still needs it.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/thrum")

install(DIRECTORY include/thrum DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
set(targets thrum_shared thrum_static)
foreach(layer IN LISTS THRUM_LAYERS)
  if(NOT layer STREQUAL "tools")
    list(APPEND targets thrum_${layer})
  endif()
endforeach()
install(TARGETS ${targets} EXPORT thrumTargets)
install(EXPORT thrumTargets NAMESPACE thrum:: DESTINATION "${package_dir}")
if(TARGET thrum_program)
  install(TARGETS thrum_program)
endif()

if(MbedTLS36_ARCHIVES)
  install(FILES ${MbedTLS36_ARCHIVES} DESTINATION "${CMAKE_INSTALL_LIBDIR}/thrum")
  foreach(part tls x509 crypto)
    string(APPEND THRUM_PC_MBEDTLS "\${libdir}/thrum/libmbed${part}.a ")
    string(APPEND THRUM_CONFIG_MBEDTLS "\"\${PACKAGE_PREFIX_DIR}/${CMAKE_INSTALL_LIBDIR}/thrum/libmbed${part}.a\" ")
  endforeach()
else()
  set(THRUM_PC_MBEDTLS "-lmbedtls -lmbedx509 -lmbedcrypto")
  set(THRUM_CONFIG_MBEDTLS "mbedtls mbedx509 mbedcrypto")
endif()

file(RELATIVE_PATH THRUM_PC_TO_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" THRUM_PC_TO_PREFIX "${THRUM_PC_TO_PREFIX}")
configure_file(cmake/thrum.pc.in thrum.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/thrum.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

configure_package_config_file(cmake/thrumConfig.cmake.in thrumConfig.cmake INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file(thrumConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/thrumConfig.cmake" "${PROJECT_BINARY_DIR}/thrumConfigVersion.cmake"
        DESTINATION "${package_dir}")
