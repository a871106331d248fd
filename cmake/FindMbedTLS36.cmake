# SPDX-License-Identifier: MIT
# Finds mbedTLS >= 3.6 with MBEDTLS_THREADING_C: first in THRUM_PREFIX, where tools/deps.sh unpacks it, then in the
# system.  Makes MbedTLS36::MbedTLS36.  From THRUM_PREFIX the archives are taken, so that no program depends on that
# place when it runs; MbedTLS36_ARCHIVES lists them then and is empty otherwise.
include(CheckCSourceCompiles)
include(CMakePushCheckState)
include(FindPackageHandleStandardArgs)

set(MbedTLS36_ARCHIVES "")
find_path(
  MbedTLS36_INCLUDE_DIR mbedtls/build_info.h
  HINTS "${THRUM_PREFIX}/usr"
  PATH_SUFFIXES include)
string(FIND "${MbedTLS36_INCLUDE_DIR}" "${THRUM_PREFIX}/" at)
foreach(part tls x509 crypto)
  if(at EQUAL 0)
    find_library(
      MbedTLS36_${part}_LIBRARY libmbed${part}.a
      HINTS "${THRUM_PREFIX}/usr"
      PATH_SUFFIXES lib "lib/${CMAKE_LIBRARY_ARCHITECTURE}"
      NO_DEFAULT_PATH)
    list(APPEND MbedTLS36_ARCHIVES "${MbedTLS36_${part}_LIBRARY}")
  else()
    find_library(MbedTLS36_${part}_LIBRARY mbed${part})
  endif()
endforeach()

if(MbedTLS36_INCLUDE_DIR)
  file(STRINGS "${MbedTLS36_INCLUDE_DIR}/mbedtls/build_info.h" line REGEX "define MBEDTLS_VERSION_STRING ")
  string(REGEX REPLACE ".*\"(.*)\".*" "\\1" MbedTLS36_VERSION "${line}")

  cmake_push_check_state(RESET)
  set(CMAKE_REQUIRED_INCLUDES "${MbedTLS36_INCLUDE_DIR}")
  set(CMAKE_REQUIRED_LIBRARIES "${MbedTLS36_tls_LIBRARY}" "${MbedTLS36_x509_LIBRARY}" "${MbedTLS36_crypto_LIBRARY}")
  set(CMAKE_REQUIRED_QUIET ON)
  unset(MbedTLS36_USABLE CACHE) # asked again each time: tools/deps.sh may have run in between
  check_c_source_compiles(
    "#include <mbedtls/ssl.h>
     #include <mbedtls/threading.h>
     #if MBEDTLS_VERSION_NUMBER < 0x03060000 || MBEDTLS_VERSION_NUMBER >= 0x04000000
     #error too old or too new
     #endif
     #if !defined(MBEDTLS_THREADING_C) || !defined(MBEDTLS_SSL_PROTO_TLS1_3)
     #error not thread-safe, or without TLS 1.3
     #endif
     int main(void) { mbedtls_ssl_context ssl; mbedtls_ssl_init(&ssl); return 0; }"
    MbedTLS36_USABLE)
  cmake_pop_check_state()
endif()

find_package_handle_standard_args(
  MbedTLS36
  REQUIRED_VARS MbedTLS36_tls_LIBRARY MbedTLS36_x509_LIBRARY MbedTLS36_crypto_LIBRARY MbedTLS36_INCLUDE_DIR
                MbedTLS36_USABLE
  VERSION_VAR MbedTLS36_VERSION
  REASON_FAILURE_MESSAGE
    "thrum needs mbedTLS 3.6 with MBEDTLS_THREADING_C and TLS 1.3: run tools/deps.sh, which installs it.")

if(MbedTLS36_FOUND AND NOT TARGET MbedTLS36::MbedTLS36)
  add_library(MbedTLS36::MbedTLS36 INTERFACE IMPORTED)
  set_target_properties(
    MbedTLS36::MbedTLS36
    PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${MbedTLS36_INCLUDE_DIR}"
               INTERFACE_LINK_LIBRARIES
               "${MbedTLS36_tls_LIBRARY};${MbedTLS36_x509_LIBRARY};${MbedTLS36_crypto_LIBRARY}")
endif()
mark_as_advanced(MbedTLS36_INCLUDE_DIR MbedTLS36_tls_LIBRARY MbedTLS36_x509_LIBRARY MbedTLS36_crypto_LIBRARY)
