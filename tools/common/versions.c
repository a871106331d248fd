/* SPDX-License-Identifier: MIT */
/* What the program is made of. */
#include "tools/common/versions.h"

#include <ares.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <thrum/common.h>
#include <zlib.h>

char *thr_versions_text(char *text, size_t text_bytes)
{
    char mbedtls[18]; /* as mbedtls/version.h asks for */
    mbedtls_version_get_string(mbedtls);
    snprintf(text, text_bytes, "thrum %s (c-ares %s, mbedTLS %s, zlib %s)\n", THRUM_VERSION,
             ares_version(NULL), mbedtls, zlibVersion());
    return text;
}
