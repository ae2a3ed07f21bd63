/* listen.c -- see listen.h. */
#include "server/listen.h"

#include "server/server.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    BACKLOG = 1024,
    FIRST_BYTES_SECONDS = 1, // how long the kernel waits for a client's first bytes
    NO_ROOM_MS = 20,         // between two looks for room, or for descriptors
    ACCEPTS_PER_TURN = 64,
};

struct listener {
    struct listener_taker taker;
    struct pollfd fds[SERVER_LISTEN_MAX + 1]; // the sockets, then `stop`
    unsigned count;
    int stop; // eventfd
    struct buf addresses;
    pthread_t thread;
};

// --- addresses
// --------------------------------------------------------------------------------------

static bool split_address(const char *address, char *host, size_t host_room, const char **port_out)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon[1] == '\0')
        return false;
    const char *from = address;
    size_t len = (size_t)(colon - address);
    if (len >= 2 && from[0] == '[' && from[len - 1] == ']') {
        from++;
        len -= 2;
    }
    if (len >= host_room)
        return false;
    memcpy(host, from, len);
    host[len] = '\0';
    *port_out = colon + 1;
    return true;
}

static bool listen_on(const char *address, int *fd_out, struct err *err)
{
    char host[256];
    const char *port;
    if (!split_address(address, host, sizeof host, &port))
        return err_set(err, ERR_INPUT, "listen address %s: expected ADDR:PORT", address);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *found;
    int rc = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &found);
    if (rc != 0)
        return err_set(err, ERR_INPUT, "listen address %s: %s", address, gai_strerror(rc));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1,
        seconds = FIRST_BYTES_SECONDS;
    bool good = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds) == 0 &&
                bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    int why = errno;
    freeaddrinfo(found);
    if (good) {
        *fd_out = fd;
        return true;
    }
    if (fd >= 0)
        (void)close(fd);
    return err_errno(err, why, "listen on %s", address);
}

// With the port that a 0 became.
static void note_address(struct listener *l, const char *address, int fd)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    char port[NI_MAXSERV] = "0";
    if (getsockname(fd, (struct sockaddr *)&bound, &len) == 0)
        (void)getnameinfo((struct sockaddr *)&bound, len, NULL, 0, port, sizeof port,
                          NI_NUMERICSERV);
    buf_printf(&l->addresses, "%s%.*s:%s", l->addresses.len > 0 ? "," : "",
               (int)(strrchr(address, ':') - address), address, port);
}

void listener_addresses(const struct listener *l, struct buf *b)
{
    buf_put_slice(b, buf_slice(&l->addresses));
}

// --- the thread
// -------------------------------------------------------------------------------------

// False when a pause is due: no room, or the system refuses.
static bool accept_some(struct listener *l, int listening)
{
    for (unsigned n = 0; n < ACCEPTS_PER_TURN; n++) {
        if (!l->taker.has_room(l->taker.ctx))
            return false;
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        int fd = accept4(listening, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            l->taker.take(l->taker.ctx, fd, (struct sockaddr *)&peer, len);
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return true;
        else if (errno != EINTR && errno != ECONNABORTED)
            return false; // no descriptor, no memory: they wait as for room
    }
    return true;
}

static void *listener_main(void *arg)
{
    struct listener *l = arg;
    bool pause = false;
    for (;;) {
        // In a pause the eventfd alone is looked at.
        struct pollfd *from = pause ? &l->fds[l->count] : l->fds;
        int ready = poll(from, pause ? 1 : l->count + 1, pause ? NO_ROOM_MS : -1);
        if (ready > 0 && l->fds[l->count].revents != 0)
            return NULL;
        bool full = false;
        for (unsigned i = 0; i < l->count && !full; i++)
            if (pause || l->fds[i].revents != 0)
                full = !accept_some(l, l->fds[i].fd);
        pause = full;
    }
}

static void listener_free(struct listener *l)
{
    for (unsigned i = 0; i < l->count; i++)
        (void)close(l->fds[i].fd);
    (void)close(l->stop);
    buf_done(&l->addresses);
    free(l);
}

bool listener_start(char *const *addresses, unsigned count, const struct listener_taker *taker,
                    struct listener **listener_out, struct err *err)
{
    assert(count <= SERVER_LISTEN_MAX);
    struct listener *l = calloc(1, sizeof *l);
    assert(l != NULL);
    l->taker = *taker;
    l->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(l->stop >= 0);
    buf_init(&l->addresses, 0);
    for (unsigned i = 0; i < count; i++) {
        int fd;
        if (!listen_on(addresses[i], &fd, err)) {
            listener_free(l);
            return false;
        }
        l->fds[l->count++] = (struct pollfd){.fd = fd, .events = POLLIN};
        note_address(l, addresses[i], fd);
    }
    l->fds[l->count] = (struct pollfd){.fd = l->stop, .events = POLLIN};
    int rc = pthread_create(&l->thread, NULL, listener_main, l);
    assert(rc == 0);
    (void)pthread_setname_np(l->thread, "listen");
    *listener_out = l;
    return true;
}

void listener_stop(struct listener *l)
{
    if (l == NULL)
        return;
    uint64_t one = 1;
    ssize_t written = write(l->stop, &one, sizeof one);
    (void)written;
    (void)pthread_join(l->thread, NULL);
    listener_free(l);
}
