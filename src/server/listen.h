/*
 * listen.h -- the addresses that are listened on, and the thread that accepts from all of them.
 *
 * A connection is given on when its first bytes are there, so that whoever takes it may look at
 * them.
 */
#pragma once

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <sys/socket.h>

struct listener;

// Both are called on the listener's thread.
struct listener_taker {
    void *ctx;
    bool (*has_room)(void *ctx); // false: connections wait in the kernel's backlog
    // Owns `fd`, which does not block.
    void (*take)(void *ctx, int fd, const struct sockaddr *peer, socklen_t peer_bytes);
};

// Binds each "ADDR:PORT" and starts to accept. ERR_INPUT or ERR_IO names the address.
MUST_CHECK bool listener_start(char *const *addresses, unsigned count,
                               const struct listener_taker *taker, struct listener **listener_out,
                               struct err *err);
// The addresses with the ports that were chosen for port 0, separated by commas.
void listener_addresses(const struct listener *listener, struct buf *b);
// Closes the sockets; nothing is taken after it. NULL is fine.
void listener_stop(struct listener *listener);
