/* connection - what may leave when, and what is read when. */
#include <sys/socket.h>
#include <unistd.h>

#include "lib/test.h"
#include "net/connection.h"

/* One connection on a pair of sockets; `peer` is the client's end. */
struct fixture {
    uv_loop_t loop;
    struct net net;
    struct connection connection;
    int peer;
    char taken[256]; /* what the owner used of the input, most recent last */
    size_t taken_size;
    size_t use_size; /* bytes to use of each input; SIZE_MAX = all */
    size_t shown_size;
    unsigned hangup_count;
    unsigned drain_count;
    unsigned closed_count;
};

static struct fixture *fixture_of(struct connection *connection)
{
    return CONTAINER_OF(connection, struct fixture, connection);
}

static void on_wake(struct connection *connection)
{
    (void)connection;
}

static size_t on_input(struct connection *connection, struct bytes input)
{
    struct fixture *fixture = fixture_of(connection);
    size_t used = fixture->use_size < input.size ? fixture->use_size : input.size;
    fixture->shown_size = input.size;
    for (size_t index = 0; index < used && fixture->taken_size < sizeof(fixture->taken); index++) {
        fixture->taken[fixture->taken_size++] = input.data[index];
    }
    return used;
}

static void on_hangup(struct connection *connection)
{
    fixture_of(connection)->hangup_count++;
}

static void on_drain(struct connection *connection)
{
    fixture_of(connection)->drain_count++;
}

static void on_closed(struct connection *connection)
{
    fixture_of(connection)->closed_count++;
}

static const struct connection_ops ops = {
    .on_wake = on_wake,
    .on_input = on_input,
    .on_hangup = on_hangup,
    .on_drain = on_drain,
    .on_closed = on_closed,
};

static void setup(struct fixture *fixture)
{
    int ends[2];
    *fixture = (struct fixture){ .use_size = SIZE_MAX };
    CHECK(uv_loop_init(&fixture->loop) == 0);
    CHECK(net_init(&fixture->net, &fixture->loop, &memory_heap));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    fixture->peer = ends[1];
    CHECK(connection_init(&fixture->connection, &fixture->net, &ops, ends[0]));
}

static void turn(struct fixture *fixture)
{
    (void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
    net_flush(&fixture->net);
}

static void teardown(struct fixture *fixture)
{
    connection_abort(&fixture->connection);
    turn(fixture);
    CHECK_EQ_INT(fixture->closed_count, 1);
    CHECK_EQ_INT(fixture->hangup_count, 1);
    net_deinit(&fixture->net);
    (void)close(fixture->peer);
    CHECK(uv_loop_close(&fixture->loop) == 0);
}

static void answer(struct fixture *fixture, const char *text, uint64_t seq)
{
    buffer_append(connection_out(&fixture->connection), text, strlen(text));
    connection_end(&fixture->connection, (struct seq){ seq });
}

/* What the client has now; "" for nothing. */
static const char *received(struct fixture *fixture)
{
    static char text[256];
    ssize_t size = recv(fixture->peer, text, sizeof(text) - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

TEST(an_answer_that_depends_on_nothing_leaves_with_the_next_flush)
{
    struct fixture fixture;
    setup(&fixture);
    answer(&fixture, "a", 0);
    CHECK_EQ_TEXT(received(&fixture), "");
    turn(&fixture);
    CHECK_EQ_TEXT(received(&fixture), "a");
    CHECK_EQ_INT(fixture.net.write_count, 1);
    teardown(&fixture);
}

TEST(an_answer_waits_for_the_disk_and_those_behind_it_wait_too)
{
    struct fixture fixture;
    setup(&fixture);
    answer(&fixture, "a", 5);
    answer(&fixture, "b", 0);
    net_offer(&fixture.net, (struct seq){ 5 });
    turn(&fixture);
    CHECK_EQ_TEXT(received(&fixture), "");
    net_release(&fixture.net, (struct seq){ 4 });
    turn(&fixture);
    CHECK_EQ_TEXT(received(&fixture), "");
    net_release(&fixture.net, (struct seq){ 5 });
    turn(&fixture);
    CHECK_EQ_TEXT(received(&fixture), "ab");
    teardown(&fixture);
}

TEST(answers_of_two_turns_leave_one_by_one)
{
    struct fixture fixture;
    setup(&fixture);
    answer(&fixture, "a", 1);
    answer(&fixture, "b", 2);
    net_offer(&fixture.net, (struct seq){ 2 });
    answer(&fixture, "c", 3);
    net_offer(&fixture.net, (struct seq){ 3 });
    CHECK_EQ_INT(fixture.connection.gate_count, 2);
    net_release(&fixture.net, (struct seq){ 2 });
    turn(&fixture);
    CHECK_EQ_TEXT(received(&fixture), "ab");
    net_release(&fixture.net, (struct seq){ 3 });
    turn(&fixture);
    CHECK_EQ_TEXT(received(&fixture), "c");
    teardown(&fixture);
}

TEST(more_turns_than_gates_delay_but_never_leak)
{
    struct fixture fixture;
    setup(&fixture);
    uint64_t count = CONNECTION_GATE_COUNT_MAX + 4;
    for (uint64_t seq = 1; seq <= count; seq++) {
        answer(&fixture, "x", seq);
        net_offer(&fixture.net, (struct seq){ seq });
    }
    size_t left = 0;
    for (uint64_t seq = 1; seq <= count; seq++) {
        net_release(&fixture.net, (struct seq){ seq });
        turn(&fixture);
        left += strlen(received(&fixture));
        CHECK(left <= seq);
    }
    CHECK_EQ_INT(left, count);
    teardown(&fixture);
}

/* Random answers, turns and commits: nothing leaves before its seq, all leaves in the end. */
TEST(nothing_leaves_early_whatever_the_order)
{
    struct fixture fixture;
    setup(&fixture);
    uint64_t state = 1, made = 0, offered = 0, durable = 0, left = 0, answers = 0;
    static uint64_t needs[4096];
    for (unsigned step = 0; step < 20000; step++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t choice = state >> 60;
        if (choice < 8 && answers < 4096) {
            if (choice < 4) made++;
            uint64_t seq = choice < 6 ? made : (state >> 32) % (made + 1);
            needs[answers++] = seq;
            answer(&fixture, "x", seq);
        } else if (choice < 11) {
            net_offer(&fixture.net, (struct seq){ offered = made });
        } else if (choice < 14 && offered > durable) {
            durable += 1 + (state >> 32) % (offered - durable);
            net_release(&fixture.net, (struct seq){ durable });
        } else {
            turn(&fixture);
            for (size_t size; (size = strlen(received(&fixture))) > 0;) {
                for (size_t index = 0; index < size; index++) {
                    CHECK(needs[left++] <= durable);
                }
            }
        }
    }
    net_offer(&fixture.net, (struct seq){ made });
    net_release(&fixture.net, (struct seq){ made });
    turn(&fixture);
    for (size_t size; (size = strlen(received(&fixture))) > 0;) {
        left += size;
    }
    CHECK_EQ_INT(left, answers);
    CHECK(answers > 1000);
    teardown(&fixture);
}

TEST(what_the_owner_does_not_use_comes_again_with_more)
{
    struct fixture fixture;
    setup(&fixture);
    fixture.use_size = 0;
    CHECK(write(fixture.peer, "abc", 3) == 3);
    turn(&fixture);
    CHECK_EQ_INT(fixture.shown_size, 3);
    fixture.use_size = 2;
    CHECK(write(fixture.peer, "d", 1) == 1);
    turn(&fixture);
    CHECK_EQ_INT(fixture.shown_size, 4);
    fixture.use_size = SIZE_MAX;
    connection_resume(&fixture.connection);
    CHECK(memcmp(fixture.taken, "abcd", 4) == 0);
    CHECK_EQ_INT(fixture.taken_size, 4);
    teardown(&fixture);
}

TEST(a_held_connection_shows_nothing_until_it_is_resumed)
{
    struct fixture fixture;
    setup(&fixture);
    connection_hold(&fixture.connection, true);
    CHECK(write(fixture.peer, "abc", 3) == 3);
    turn(&fixture);
    CHECK_EQ_INT(fixture.shown_size, 0);
    connection_hold(&fixture.connection, false);
    connection_resume(&fixture.connection);
    CHECK_EQ_INT(fixture.shown_size, 3);
    teardown(&fixture);
}

TEST(input_is_kept_up_to_a_bound_and_then_not_read)
{
    struct fixture fixture;
    setup(&fixture);
    connection_hold(&fixture.connection, true);
    static char block[65536];
    for (unsigned count = 0; count < 200; count++) {
        (void)!write(fixture.peer, block, sizeof(block));
        turn(&fixture);
    }
    CHECK(fixture.connection.input.size >= CONNECTION_INPUT_SIZE_MAX);
    CHECK(fixture.connection.input.size < CONNECTION_INPUT_SIZE_MAX + NET_SCRATCH_SIZE);
    CHECK_EQ_INT(fixture.hangup_count, 0);
    (void)close(fixture.peer);
    turn(&fixture);
    CHECK_EQ_INT(fixture.hangup_count, 1);
    teardown(&fixture);
}

TEST(a_client_that_does_not_read_is_not_read_from)
{
    struct fixture fixture;
    setup(&fixture);
    static char block[65536];
    while (connection_backlog(&fixture.connection) < CONNECTION_BACKLOG_SIZE_MAX) {
        buffer_append(connection_out(&fixture.connection), block, sizeof(block));
        connection_end(&fixture.connection, (struct seq){ 0 });
        turn(&fixture);
    }
    CHECK(write(fixture.peer, "abc", 3) == 3);
    turn(&fixture);
    CHECK_EQ_INT(fixture.shown_size, 0);
    connection_want_drain(&fixture.connection);
    for (unsigned count = 0; count < 1000 && fixture.drain_count == 0; count++) {
        (void)!recv(fixture.peer, block, sizeof(block), 0);
        turn(&fixture);
    }
    CHECK_EQ_INT(fixture.drain_count, 1);
    turn(&fixture);
    CHECK_EQ_INT(fixture.shown_size, 3);
    teardown(&fixture);
}

TEST(the_end_of_the_clients_side_does_not_take_its_answers)
{
    struct fixture fixture;
    setup(&fixture);
    answer(&fixture, "a", 1);
    net_offer(&fixture.net, (struct seq){ 1 });
    CHECK(shutdown(fixture.peer, SHUT_WR) == 0);
    turn(&fixture);
    CHECK_EQ_INT(fixture.hangup_count, 1);
    CHECK_EQ_INT(fixture.closed_count, 0);
    net_release(&fixture.net, (struct seq){ 1 });
    turn(&fixture);
    CHECK_EQ_TEXT(received(&fixture), "a");
    turn(&fixture);
    CHECK_EQ_INT(fixture.closed_count, 1);
    teardown(&fixture);
}

TEST(close_waits_for_what_was_written)
{
    struct fixture fixture;
    setup(&fixture);
    answer(&fixture, "bye", 0);
    connection_close(&fixture.connection);
    CHECK_EQ_INT(fixture.hangup_count, 1);
    turn(&fixture);
    CHECK_EQ_TEXT(received(&fixture), "bye");
    turn(&fixture);
    CHECK_EQ_INT(fixture.closed_count, 1);
    teardown(&fixture);
}

TEST(a_connection_that_is_owed_an_answer_stays_until_it_is_given)
{
    struct fixture fixture;
    setup(&fixture);
    connection_owe(&fixture.connection, true);
    CHECK_EQ_INT(shutdown(fixture.peer, SHUT_WR), 0);
    turn(&fixture);
    CHECK_EQ_INT(fixture.hangup_count, 1);
    turn(&fixture);
    CHECK(fixture.connection.socket >= 0);
    answer(&fixture, "first", 0);
    turn(&fixture);
    CHECK_EQ_TEXT(received(&fixture), "first");
    CHECK(fixture.connection.socket >= 0);
    answer(&fixture, "last", 0);
    connection_owe(&fixture.connection, false);
    turn(&fixture);
    CHECK_EQ_TEXT(received(&fixture), "last");
    CHECK(fixture.connection.socket < 0);
    teardown(&fixture);
}

TEST(a_connection_closes_when_what_it_was_owed_will_not_come)
{
    struct fixture fixture;
    setup(&fixture);
    connection_owe(&fixture.connection, true);
    connection_close(&fixture.connection);
    turn(&fixture);
    CHECK(fixture.connection.socket >= 0);
    connection_owe(&fixture.connection, false);
    turn(&fixture);
    CHECK(fixture.connection.socket < 0);
    teardown(&fixture);
}

TEST(a_client_that_is_still_sending_gets_to_read_the_last_answer)
{
    struct fixture fixture;
    setup(&fixture);
    connection_linger(&fixture.connection);
    answer(&fixture, "no", 0);
    connection_close(&fixture.connection);
    turn(&fixture);
    CHECK_EQ_INT(fixture.hangup_count, 1);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ_INT(send(fixture.peer, "more", 4, MSG_NOSIGNAL), 4);
        turn(&fixture);
        CHECK(fixture.connection.socket >= 0);
    }
    CHECK_EQ_INT(fixture.taken_size, 0);
    CHECK_EQ_TEXT(received(&fixture), "no");
    CHECK_EQ_INT(recv(fixture.peer, (char[1]){ 0 }, 1, 0), 0);
    connection_check(&fixture.connection);
    CHECK(fixture.connection.socket >= 0);
    CHECK_EQ_INT(shutdown(fixture.peer, SHUT_WR), 0);
    turn(&fixture);
    CHECK(fixture.connection.socket < 0);
    teardown(&fixture);
}

TEST(a_client_that_sends_for_ever_is_cut_off)
{
    struct fixture fixture;
    setup(&fixture);
    connection_linger(&fixture.connection);
    connection_close(&fixture.connection);
    turn(&fixture);
    CHECK(fixture.connection.socket >= 0);
    fixture.connection.linger_until_ms -= 2000; /* time goes by */
    connection_check(&fixture.connection);
    CHECK(fixture.connection.socket < 0);
    teardown(&fixture);
}
