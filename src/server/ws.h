/*
 * ws.h -- websocket frames, the server's side (RFC 6455); no socket.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };
enum ws_code { WS_NORMAL = 1000, WS_GOING_AWAY = 1001, WS_PROTOCOL_ERROR = 1002, WS_TOO_BIG = 1009, WS_INTERNAL = 1011 };
enum { WS_ACCEPT_BYTES = 29, WS_PAYLOAD_BYTES_MAX = 64 * 1024, WS_REASON_BYTES_MAX = 123 };

// The value of Sec-WebSocket-Accept (section 4.2.2), NUL-terminated.
void ws_accept(struct slice key, char out[WS_ACCEPT_BYTES]);

void ws_put_frame(struct buf *out, enum ws_opcode opcode, struct slice payload);
// The reason is cut to WS_REASON_BYTES_MAX at a character's beginning.
void ws_put_close(struct buf *out, enum ws_code code, struct slice reason);

struct ws_reader {
    bool fragmented; // between the first and the last frame of a message
};

struct ws_frame {
    enum ws_opcode opcode;
    struct slice payload; // unmasked
};

enum ws_result { WS_MORE, WS_FRAME, WS_BAD };
// Takes one frame from the front of `bytes`, which is unmasked in place. WS_MORE: it is not whole yet. WS_BAD:
// close with *code_out.
enum ws_result ws_take(struct ws_reader *r, uint8_t *bytes, size_t len, size_t *used_out, struct ws_frame *out,
                       enum ws_code *code_out);
