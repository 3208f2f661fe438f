#include "server/store_url.h"

#include <stdio.h>
#include <string.h>

/* The password with its colon, up to the "@".  False: there is none. */
static bool find_password(const char *url, const char **out_start, const char **out_end)
{
    const char *rest = strstr(url, "://");
    rest = rest == NULL ? url : rest + 3;
    const char *options = strchr(rest, '?');
    size_t size = options == NULL ? strlen(rest) : (size_t)(options - rest);
    const char *end = memrchr(rest, '@', size);
    const char *start = end == NULL ? NULL : memchr(rest, ':', (size_t)(end - rest));
    if (start == NULL) return false;
    *out_start = start;
    *out_end = end;
    return true;
}

bool store_url_has_password(const char *url)
{
    const char *start;
    const char *end;
    return find_password(url, &start, &end) && end - start > 1;
}

void store_url_show(const char *url, char *out_text, size_t size)
{
    const char *start = url;
    const char *end = url;
    bool has_password = find_password(url, &start, &end);
    int kept = has_password ? (int)(start - url) : 0;
    (void)snprintf(out_text, size, "%.*s%s", kept, url, has_password ? end : url);
}
