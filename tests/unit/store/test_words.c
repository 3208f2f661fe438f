/* What a store says of itself in words. */
#include "lib/test.h"
#include "store/store.h"

TEST(every_class_has_a_word_and_every_word_its_class)
{
    for (int safety = STORE_SAFETY_VOLATILE; safety <= STORE_SAFETY_CONSENSUS; safety++) {
        enum store_safety found = STORE_SAFETY_VOLATILE;
        const char *word = tni_store_safety_word((enum store_safety)safety);
        CHECK(tni_store_safety_from_word(word, &found));
        CHECK_EQ_INT(found, safety);
    }
    enum store_safety kept = STORE_SAFETY_QUORUM;
    CHECK(!tni_store_safety_from_word("perfect", &kept));
    CHECK(!tni_store_safety_from_word("", &kept));
    CHECK_EQ_INT(kept, STORE_SAFETY_QUORUM);
}

TEST(what_is_not_supported_is_listed_verbs_first)
{
    struct store store = {
        .verbs = ((1u << STORE_VERB_COUNT) - 1) & ~(1u << STORE_HISTORY | 1u << STORE_TRANSFER),
        .features = ((1u << STORE_FEATURE_COUNT) - 1) & ~(1u << STORE_FEATURE_SLOTS),
    };
    CHECK_EQ_TEXT(tni_store_unsupported_word(&store, 0), "history");
    CHECK_EQ_TEXT(tni_store_unsupported_word(&store, 1), "transfer");
    CHECK_EQ_TEXT(tni_store_unsupported_word(&store, 2), "slots");
    CHECK(tni_store_unsupported_word(&store, 3) == NULL);
    store = (struct store){ 0 };
    uint32_t count = 0;
    while (tni_store_unsupported_word(&store, count) != NULL) {
        count++;
    }
    /* Those of queues are one word, those of state another, and channels the third. */
    CHECK_EQ_UINT(count, STORE_PUT + 3 + STORE_FEATURE_COUNT);
}
