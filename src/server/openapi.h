/* openapi - the document of the HTTP interface, openapi.json, as it was when this was built. */
#ifndef TENURE_SERVER_OPENAPI_H
#define TENURE_SERVER_OPENAPI_H

#include <stddef.h>

extern const char openapi_json[];
extern const size_t openapi_json_size;

#endif
