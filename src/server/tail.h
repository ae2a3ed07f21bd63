/*
 * tail.h -- live tails: what arrives, by a log query, over websockets; loki-http.md 13.
 *
 * A tail is opened by the worker that answers its request, and is a listener from then on; its history is read
 * after that, so that nothing is missed in between, and what arrived meanwhile is given once. When the response
 * is sent the socket is handed over and one thread serves all tails.
 */
#pragma once

#include "server/request.h"

struct tails; // all of them
struct tail;

struct tails *tails_new(const struct app *app);
// Closes every connected tail; tails that are connected later are closed at once.
void tails_stop(struct tails *tails);
// After tails_stop(), when no tail is left with its exchange. NULL is fine.
void tails_free(struct tails *tails);

// Checks the request and starts to listen; ERR_INPUT with the text to answer before the upgrade. What is refused later (a
// metric query, too many tails, a history that cannot be read) is a tail that closes with 1011 and the reason.
// `legacy`: the frames of /api/prom/tail.
MUST_CHECK bool tail_open(struct tails *tails, const struct request *rq, bool legacy, struct tail **tail_out,
                          struct err *err);
// The tail takes the socket; `closed` is called, on the tails' thread, when it needs it no more. `early`: bytes that
// were read from it already.
void tail_connect(struct tail *tail, int fd, struct slice early, void (*closed)(void *ctx), void *ctx);
// Instead of tail_connect(): the client left before.
void tail_abandon(struct tail *tail);
