#include "store/link.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define READ_SIZE      ((size_t)16 << 10)
#define INPUT_SIZE_MAX ((size_t)64 << 20)
#define CLOSED_TEXT    "the server has closed the connection"

/* A peer that has vanished is noticed after so long at the latest, even when nothing is under way:
 * the kernel asks for it. */
#define USER_TIMEOUT_MS  5000
#define KEEPALIVE_IDLE_S 5
#define KEEPALIVE_STEP_S 2
#define KEEPALIVE_COUNT  3

/* ------------------------------------------------------------------ the end */

/* What is said while greeting may be secret: nothing of it stays behind what is yet to be sent. */
static void wipe(struct buffer *sent)
{
    if (sent->capacity == sent->size) return;
    explicit_bzero(sent->data + sent->size, sent->capacity - sent->size);
}

static void wipe_greeting(const struct link *link, struct buffer *sent)
{
    if (link->state == LINK_GREETING) wipe(sent);
}

static void let_go(struct link *link)
{
    ASSERT(link->open_count > 0);
    link->open_count--;
    if (link->open_count > 0 || link->state != LINK_CLOSED) return;
    buffer_reset(&link->output);
    buffer_reset(&link->sending);
    wipe(&link->output);
    wipe(&link->sending);
    buffer_deinit(&link->input);
    buffer_deinit(&link->output);
    buffer_deinit(&link->sending);
    buffer_deinit(&link->cipher_in);
    buffer_deinit(&link->cipher_out);
    tls_stream_destroy(&link->tls);
    void (*gone)(void *) = link->ops->gone;
    void *context = link->context;
    memory_give(link->memory, link, sizeof(*link));
    gone(context);
}

static void on_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

void tni_link_close(struct link *link)
{
    if (link->state == LINK_CLOSED) return;
    link->state = LINK_CLOSED;
    link->open_count++;
    if (link->is_resolving) (void)uv_cancel((uv_req_t *)&link->resolve);
    if (link->has_timer) uv_close((uv_handle_t *)&link->timer, on_closed);
    if (link->has_socket) {
        int descriptor;
        if (uv_fileno(&link->socket.handle, &descriptor) == 0) {
            (void)shutdown(descriptor, SHUT_RDWR);
        }
        uv_close(&link->socket.handle, on_closed);
    }
    let_go(link);
}

__attribute__((format(printf, 2, 3))) static void fail(struct link *link, const char *format, ...)
{
    if (link->state == LINK_CLOSED) return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(link->text, sizeof(link->text), format, arguments);
    va_end(arguments);
    link->open_count++; /* the text lives until `down` has seen it */
    tni_link_close(link);
    link->ops->down(link, link->text);
    let_go(link);
}

static void fail_on_time(uv_timer_t *timer)
{
    struct link *link = timer->data;
    bool is_securing = link->state == LINK_SECURING;
    const char *more = is_securing ? ": is it TLS that is spoken on that port?" : "";
    fail(link, "no answer within %u ms%s", LINK_UP_MS_MAX, more);
}

/* The server will send no more. */
static void fail_at_end(struct link *link, const char *text)
{
    const char *reason = NULL;
    if (link->tls != NULL) {
        reason = tls_stream_explain_end(link->tls);
    } else if (link->state == LINK_GREETING && link->received_at.ns == 0) {
        reason = "the server has closed the connection without a word: does it speak TLS there?";
    }
    fail(link, "%s", reason == NULL ? text : reason);
}

/* ------------------------------------------------------------------ output */

/* The server has gone away while we wrote.  Why, it may have said before: reading tells. */
static bool is_gone(int failure)
{
    return failure == UV_EPIPE || failure == UV_ECONNRESET;
}

static void fail_to_write(struct link *link, int failure)
{
    if (!is_gone(failure)) fail(link, "%s", uv_strerror(failure));
}

static void on_written(uv_write_t *request, int status)
{
    struct link *link = request->data;
    link->is_writing = false;
    buffer_reset(&link->sending);
    wipe_greeting(link, &link->sending);
    if (status < 0) {
        fail_to_write(link, status);
    } else if (link->state != LINK_CLOSED) {
        tni_link_flush(link);
    }
    let_go(link);
}

/* What the owner wants to say goes to where it leaves from.  False: the link is closed. */
static bool encrypt_output(struct link *link)
{
    if (link->state == LINK_SECURING || link->output.size == 0) return true;
    struct bytes plain = buffer_bytes(&link->output);
    if (!tls_stream_send(link->tls, plain, &link->cipher_out)) {
        fail(link, "%s", tls_stream_text(link->tls));
        return false;
    }
    buffer_consume(&link->output, plain.size);
    wipe_greeting(link, &link->output);
    return true;
}

void tni_link_flush(struct link *link)
{
    bool is_open = link->state >= LINK_SECURING && link->state != LINK_CLOSED;
    if (!is_open || link->is_writing) return;
    if (link->tls != NULL && !encrypt_output(link)) return;
    struct buffer *leaving = link->tls != NULL ? &link->cipher_out : &link->output;
    if (leaving->size == 0) return;
    uv_buf_t rest = uv_buf_init(leaving->data, (unsigned)leaving->size);
    int written = uv_try_write(&link->socket.stream, &rest, 1);
    if (written < 0 && written != UV_EAGAIN) {
        fail_to_write(link, written);
        return;
    }
    if (written > 0) buffer_consume(leaving, (size_t)written);
    wipe_greeting(link, leaving);
    if (leaving->size == 0) return;

    buffer_swap(leaving, &link->sending);
    rest = uv_buf_init(link->sending.data, (unsigned)link->sending.size);
    link->write.data = link;
    int failure = uv_write(&link->write, &link->socket.stream, &rest, 1, on_written);
    if (failure < 0) {
        fail(link, "%s", uv_strerror(failure));
        return;
    }
    link->is_writing = true;
    link->open_count++;
}

/* ------------------------------------------------------------------ the greeting */

static void start_greeting(struct link *link)
{
    link->state = LINK_GREETING;
    link->ops->open(link);
    if (link->state == LINK_CLOSED) return;
    if (link->output.is_failed) {
        fail(link, "no memory");
    } else {
        tni_link_flush(link);
    }
}

void tni_link_accept(struct link *link)
{
    ASSERT(link->state == LINK_GREETING);
    link->state = LINK_UP;
    link->was_up = true;
    (void)uv_timer_stop(&link->timer);
    link->ops->up(link);
}

void tni_link_refuse(struct link *link, const char *text)
{
    ASSERT(link->state == LINK_GREETING);
    fail(link, "%s", text);
}

/* ------------------------------------------------------------------ input */

#define TLS_ALERT 0x15 /* with which a server of TLS answers plaintext (RFC 8446, 5.1) */

static void fail_by_bytes(struct link *link, struct bytes bytes, const char *text)
{
    if (link->tls == NULL && bytes.data[0] == TLS_ALERT) {
        fail(link, "TLS is spoken on that port, and the URL is one without TLS");
    } else {
        fail(link, "the answer is not in the Redis protocol: %s", text);
    }
}

static void handle_replies(struct link *link)
{
    size_t start = 0;
    while (link->state != LINK_CLOSED) {
        struct bytes rest = { link->input.data + start, link->input.size - start };
        size_t size;
        const char *text;
        enum proto_parse parse = resp_skip_reply(&link->skip, rest, &size, &text);
        if (parse == PARSE_BAD) fail_by_bytes(link, rest, text);
        if (parse != PARSE_DONE) break;
        struct reply reply = { link->input.data + start, size, 0, false };
        start += size;
        if (link->state == LINK_GREETING) {
            link->ops->greet(link, &reply);
        } else {
            link->ops->reply(link, &reply);
        }
    }
    if (link->state != LINK_CLOSED) buffer_consume(&link->input, start);
}

static void decrypt_input(struct link *link)
{
    struct bytes cipher = buffer_bytes(&link->cipher_in);
    bool is_fine = tls_stream_receive(link->tls, cipher, &link->input, &link->cipher_out);
    buffer_reset(&link->cipher_in);
    tni_link_flush(link);
    if (link->state == LINK_SECURING && tls_stream_is_open(link->tls)) start_greeting(link);
    handle_replies(link);
    if (!is_fine) fail(link, "%s", tls_stream_text(link->tls));
    if (tls_stream_is_ended(link->tls)) fail_at_end(link, CLOSED_TEXT);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out_room)
{
    struct link *link = handle->data;
    struct buffer *arriving = link->tls != NULL ? &link->cipher_in : &link->input;
    (void)suggested;
    *out_room = uv_buf_init(NULL, 0);
    if (link->input.size > INPUT_SIZE_MAX || !buffer_reserve(arriving, READ_SIZE)) return;
    size_t room = arriving->capacity - arriving->size;
    *out_room = uv_buf_init(arriving->data + arriving->size, (unsigned)room);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *room)
{
    struct link *link = stream->data;
    (void)room;
    if (size == UV_ENOBUFS) {
        fail(link, "no memory for the answer");
    } else if (size < 0) {
        fail_at_end(link, size == UV_EOF ? CLOSED_TEXT : uv_strerror((int)size));
    } else if (size > 0) {
        link->received_at = tni_store_now();
        /* The link may be closed in there; its memory must stay until the loop is back. */
        link->open_count++;
        if (link->tls != NULL) {
            link->cipher_in.size += (size_t)size;
            decrypt_input(link);
        } else {
            link->input.size += (size_t)size;
            handle_replies(link);
        }
        let_go(link);
    }
}

/* ------------------------------------------------------------------ the beginning */

static void set_socket_options(int descriptor)
{
    static const struct {
        int level;
        int name;
        int value;
    } options[] = {
        { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
        { IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_STEP_S },
        { IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT },
        { IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS },
        { IPPROTO_TCP, TCP_NODELAY, 1 },
    };
    for (size_t index = 0; index < sizeof(options) / sizeof(options[0]); index++) {
        /* Each of them only makes a vanished peer be noticed sooner. */
        (void)setsockopt(
            descriptor,
            options[index].level,
            options[index].name,
            &options[index].value,
            sizeof(options[index].value));
    }
}

static void start_tls(struct link *link)
{
    link->state = LINK_SECURING;
    if (tls_stream_start(link->tls, &link->cipher_out)) {
        tni_link_flush(link);
    } else {
        fail(link, "%s", tls_stream_text(link->tls));
    }
}

static void on_connected(uv_connect_t *request, int status)
{
    struct link *link = request->data;
    if (link->state == LINK_CLOSED) {
        let_go(link);
        return;
    }
    if (status == 0) {
        int descriptor;
        bool is_tcp = link->address->host[0] != '\0';
        if (is_tcp && uv_fileno(&link->socket.handle, &descriptor) == 0) {
            set_socket_options(descriptor);
        }
        status = uv_read_start(&link->socket.stream, on_room, on_read);
    }
    if (status < 0) {
        fail(link, "%s", uv_strerror(status));
    } else if (link->tls != NULL) {
        start_tls(link);
    } else {
        start_greeting(link);
    }
    let_go(link);
}

static void connect_to(struct link *link, const struct sockaddr *address)
{
    int failure = uv_tcp_init(link->loop, &link->socket.tcp);
    if (failure == 0) {
        link->socket.handle.data = link;
        link->has_socket = true;
        link->open_count++;
        failure = uv_tcp_connect(&link->connect, &link->socket.tcp, address, on_connected);
    }
    if (failure < 0) {
        fail(link, "%s", uv_strerror(failure));
        return;
    }
    link->state = LINK_CONNECTING;
    link->open_count++;
}

static void connect_to_path(struct link *link)
{
    /* Cannot fail: the loop takes any number of handles. */
    (void)uv_pipe_init(link->loop, &link->socket.pipe, 0);
    link->socket.handle.data = link;
    link->has_socket = true;
    link->state = LINK_CONNECTING;
    link->open_count += 2;
    uv_pipe_connect(&link->connect, &link->socket.pipe, link->address->path, on_connected);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct link *link = request->data;
    link->is_resolving = false;
    if (status < 0 || found == NULL) {
        const char *text = status < 0 ? uv_strerror(status) : "no address";
        fail(link, "%s: %s", link->address->host, text);
    } else if (link->state != LINK_CLOSED) {
        uint32_t count = 0;
        for (const struct addrinfo *each = found; each != NULL; each = each->ai_next) {
            count++;
        }
        ASSERT(count > 0);
        uint32_t skip = link->address_index % count;
        const struct addrinfo *chosen = found;
        while (skip-- > 0) {
            chosen = chosen->ai_next;
        }
        connect_to(link, chosen->ai_addr);
    }
    uv_freeaddrinfo(found);
    let_go(link);
}

static bool is_number(const struct link_address *address, struct sockaddr_storage *out_address)
{
    int port = 0;
    for (const char *digit = address->port; *digit != '\0'; digit++) {
        port = port * 10 + (*digit - '0');
    }
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
    if (uv_ip4_addr(address->host, port, &ipv4) == 0) {
        memcpy(out_address, &ipv4, sizeof(ipv4));
        return true;
    }
    if (uv_ip6_addr(address->host, port, &ipv6) != 0) return false;
    memcpy(out_address, &ipv6, sizeof(ipv6));
    return true;
}

static void begin(uv_timer_t *timer)
{
    struct link *link = timer->data;
    struct sockaddr_storage number;
    (void)uv_timer_start(&link->timer, fail_on_time, LINK_UP_MS_MAX, 0);
    if (link->address->host[0] == '\0') {
        connect_to_path(link);
    } else if (is_number(link->address, &number)) {
        connect_to(link, (const struct sockaddr *)&number);
    } else {
        static const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
        link->resolve.data = link;
        int failure = uv_getaddrinfo(
            link->loop,
            &link->resolve,
            on_resolved,
            link->address->host,
            link->address->port,
            &hints);
        if (failure < 0) {
            fail(link, "%s", uv_strerror(failure));
            return;
        }
        link->is_resolving = true;
        link->open_count++;
    }
}

struct link *tni_link_create(const struct link_options *options)
{
    struct tls_stream *tls = NULL;
    if (options->tls != NULL) {
        const char *name = options->server_name;
        tls = tls_stream_create(options->tls, name == NULL ? options->address->host : name);
        if (tls == NULL) return NULL;
    }
    struct link *link = memory_take(options->memory, sizeof(*link));
    if (link == NULL) {
        tls_stream_destroy(&tls);
        return NULL;
    }
    *link = (struct link){ .ops = options->ops,
                           .owner = options->owner,
                           .context = options->context,
                           .loop = options->loop,
                           .memory = options->memory,
                           .address = options->address,
                           .address_index = options->address_index,
                           .tls = tls,
                           .created_at = tni_store_now() };
    buffer_init(&link->input, options->memory);
    buffer_init(&link->output, options->memory);
    buffer_init(&link->sending, options->memory);
    buffer_init(&link->cipher_in, options->memory);
    buffer_init(&link->cipher_out, options->memory);
    /* Neither can fail; a failure to connect must not come while the link is being made, hence the
     * timer. */
    (void)uv_timer_init(options->loop, &link->timer);
    link->timer.data = link;
    link->connect.data = link;
    link->has_timer = true;
    link->open_count = 1;
    (void)uv_timer_start(&link->timer, begin, 0, 0);
    return link;
}
