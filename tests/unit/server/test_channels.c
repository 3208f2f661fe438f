#include <stdio.h>

#include "lib/test.h"
#include "server/channels.h"

static bool matches(const char *pattern, const char *name)
{
    return channel_matches(bytes_from_text(pattern), bytes_from_text(name));
}

TEST(channel_patterns_are_those_of_redis)
{
    CHECK(matches("news", "news") && !matches("news", "new") && !matches("new", "news"));
    CHECK(matches("*", "") && matches("*", "anything") && matches("**", "a"));
    CHECK(matches("h?llo", "hello") && !matches("h?llo", "hllo"));
    CHECK(matches("h*llo", "heeeello") && matches("h*llo", "hllo") && !matches("h*llo", "hell"));
    CHECK(matches("h[ae]llo", "hallo") && !matches("h[ae]llo", "hillo"));
    CHECK(matches("h[^e]llo", "hallo") && !matches("h[^e]llo", "hello"));
    CHECK(matches("h[a-c]llo", "hbllo") && !matches("h[a-c]llo", "hdllo"));
    CHECK(matches("h[c-a]llo", "hbllo")); /* the wrong way round */
    CHECK(matches("a\\*b", "a*b") && !matches("a\\*b", "axb"));
    CHECK(matches("[\\]]", "]") && matches("[-a]", "-"));
    CHECK(matches("a*b*c", "a-b-b-c") && !matches("a*b*c", "a-c-b"));
    CHECK(matches("", "") && !matches("", "a"));
    CHECK(!matches("a[", "a") && !matches("a[", "ab") && matches("a\\", "a\\"));
}

/* What takes back every star would not end. */
TEST(channel_patterns_cost_no_more_than_their_length)
{
    static char pattern[CHANNEL_NAME_SIZE_MAX], name[CHANNEL_NAME_SIZE_MAX];
    for (size_t index = 0; index < sizeof pattern; index++) {
        pattern[index] = index % 2 == 0 ? '*' : 'a';
        name[index] = 'a';
    }
    pattern[sizeof pattern - 1] = 'b';
    for (unsigned count = 0; count < 1000; count++) {
        CHECK(!channel_matches(
            (struct bytes){ pattern, sizeof pattern }, (struct bytes){ name, sizeof name }));
    }
}

static unsigned told;

static void tell(struct subscription *subscription, struct bytes channel, struct bytes message)
{
    CHECK_EQ_BYTES(channel, BYTES_LITERAL("a"));
    CHECK_EQ_BYTES(message, BYTES_LITERAL("m"));
    told += subscription->is_pattern ? 100 : 1;
}

TEST(channel_messages_reach_every_subscription)
{
    struct channels *channels = channels_create();
    struct subscription *subscriptions[4];
    CHECK(channels != NULL);
    subscriptions[0] = channel_subscribe(channels, BYTES_LITERAL("a"), false);
    subscriptions[1] = channel_subscribe(channels, BYTES_LITERAL("a"), false);
    subscriptions[2] = channel_subscribe(channels, BYTES_LITERAL("b"), false);
    subscriptions[3] = channel_subscribe(channels, BYTES_LITERAL("[ab]"), true);
    for (unsigned index = 0; index < 4; index++) {
        CHECK(subscriptions[index] != NULL);
        subscriptions[index]->tell = tell;
    }
    CHECK_EQ_UINT(channel_publish(channels, BYTES_LITERAL("a"), BYTES_LITERAL("m")), 3);
    CHECK_EQ_UINT(told, 102);
    CHECK_EQ_UINT(channel_subscriber_count(channels, BYTES_LITERAL("a")), 2);
    CHECK_EQ_UINT(channel_pattern_count(channels), 1);
    channel_unsubscribe(channels, subscriptions[0]);
    channel_unsubscribe(channels, subscriptions[3]);
    CHECK_EQ_UINT(channel_publish(channels, BYTES_LITERAL("a"), BYTES_LITERAL("m")), 1);
    channel_unsubscribe(channels, subscriptions[1]);
    CHECK_EQ_UINT(channel_publish(channels, BYTES_LITERAL("a"), BYTES_LITERAL("m")), 0);
    struct bytes name;
    CHECK(channel_next(channels, NULL, &name) != NULL);
    CHECK_EQ_BYTES(name, BYTES_LITERAL("b"));
    channel_unsubscribe(channels, subscriptions[2]);
    CHECK(channel_next(channels, NULL, &name) == NULL);
    channels_destroy(&channels);
}

TEST(channels_have_a_limit_of_patterns)
{
    static struct subscription *all[CHANNEL_PATTERN_COUNT_MAX];
    struct channels *channels = channels_create();
    CHECK(channels != NULL);
    for (unsigned at = 0; at < CHANNEL_PATTERN_COUNT_MAX; at++) {
        char text[16];
        int size = snprintf(text, sizeof text, "%u*", at);
        struct bytes name = { text, (size_t)size };
        CHECK(channel_has_room(channels, name, true));
        all[at] = channel_subscribe(channels, name, true);
        CHECK(all[at] != NULL);
    }
    CHECK(!channel_has_room(channels, BYTES_LITERAL("one more*"), true));
    CHECK(channel_has_room(channels, BYTES_LITERAL("7*"), true)); /* it is there already */
    CHECK(channel_has_room(channels, BYTES_LITERAL("no pattern"), false));
    for (unsigned at = 0; at < CHANNEL_PATTERN_COUNT_MAX; at++) {
        channel_unsubscribe(channels, all[at]);
    }
    channels_destroy(&channels);
}
