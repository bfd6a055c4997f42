#ifndef CTLS_INTERNAL_H
#define CTLS_INTERNAL_H

#include "CTLS.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#endif
