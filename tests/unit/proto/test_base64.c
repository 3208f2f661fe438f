#include "base/memory.h"
#include "lib/random.h"
#include "lib/test.h"
#include "proto/base64.h"
#include "proto/json_writer.h"

/* Those of RFC 4648 §10, and the letters at the end of the alphabet. */
static const struct {
    const char *bytes;
    const char *text;
} pairs[] = {
    { "", "" },
    { "f", "Zg==" },
    { "fo", "Zm8=" },
    { "foo", "Zm9v" },
    { "foob", "Zm9vYg==" },
    { "fooba", "Zm9vYmE=" },
    { "foobar", "Zm9vYmFy" },
    { "\xfb\xff\xbf", "+/+/" },
};

TEST(base64_of_known_bytes)
{
    char text[16];
    char bytes[16];
    for (size_t index = 0; index < sizeof(pairs) / sizeof(pairs[0]); index++) {
        struct bytes known = bytes_from_text(pairs[index].bytes);
        struct bytes letters = bytes_from_text(pairs[index].text);
        size_t size = 99;
        CHECK_EQ_UINT(BASE64_SIZE(known.size), letters.size);
        base64_encode(known, text);
        CHECK_EQ_BYTES(((struct bytes){ text, letters.size }), letters);
        CHECK(base64_decode(letters, bytes, &size));
        CHECK_EQ_BYTES(((struct bytes){ bytes, size }), known);
    }
}

TEST(base64_that_has_another_form_is_refused)
{
    static const char *const bad[] = {
        "Z",    "Zg",   "Zg=",      "Zh==",  "Zm9=",  "====",     "Z===",
        "-_-_", "=m9v", "Zg==Zg==", "Zm9v=", "Zm 9v", "Zm9vZg=v", "Zg==\n",
    };
    char bytes[16];
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
        size_t size = 99;
        test_note("%s", bad[index]);
        CHECK(!base64_decode(bytes_from_text(bad[index]), bytes, &size));
        CHECK_EQ_UINT(size, 99);
    }
}

TEST(base64_there_and_back)
{
    struct test_random random = { 5 };
    static char bytes[300];
    static char text[BASE64_SIZE(sizeof(bytes))];
    static char back[sizeof(bytes) + 3];
    for (size_t size = 0; size <= sizeof(bytes); size++) {
        for (size_t index = 0; index < size; index++) {
            bytes[index] = (char)test_random_below(&random, 256);
        }
        size_t size_back = 0;
        base64_encode((struct bytes){ bytes, size }, text);
        CHECK(base64_decode((struct bytes){ text, BASE64_SIZE(size) }, back, &size_back));
        CHECK_EQ_BYTES(((struct bytes){ back, size_back }), ((struct bytes){ bytes, size }));
    }
}

TEST(base64_in_json)
{
    struct buffer out;
    struct json_writer json;
    buffer_init(&out, &memory_heap);
    json_writer_init(&json, &out);
    json_begin_array(&json);
    json_base64(&json, BYTES_LITERAL(""));
    json_base64(&json, BYTES_LITERAL("\xff"));
    json_end_array(&json);
    CHECK_EQ_BYTES(buffer_bytes(&out), BYTES_LITERAL("[\"\",\"/w==\"]"));
    buffer_deinit(&out);
}
