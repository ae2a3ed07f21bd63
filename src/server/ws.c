/* ws.c -- see ws.h. */
#include "server/ws.h"

#include "base/base64.h"
#include "base/digest.h"

enum { FIN = 0x80, RESERVED = 0x70, OPCODE = 0x0f, MASKED = 0x80, LENGTH = 0x7f };
enum { LENGTH_16 = 126, LENGTH_64 = 127, CONTROL = 8, CONTROL_BYTES_MAX = 125, MASK_BYTES = 4 };

void ws_accept(struct slice key, char out[WS_ACCEPT_BYTES])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t digest[DIGEST_SHA1_BYTES];
    struct buf b;
    buf_init(&b, 0);
    buf_put_slice(&b, key);
    buf_put_cstr(&b, guid);
    digest_sha1(buf_slice(&b), digest);
    buf_reset(&b);
    base64_encode(&b, slice_of(digest, sizeof digest));
    memcpy(out, b.ptr, WS_ACCEPT_BYTES - 1);
    out[WS_ACCEPT_BYTES - 1] = '\0';
    buf_done(&b);
}

void ws_put_frame(struct buf *out, enum ws_opcode opcode, struct slice payload)
{
    buf_put_byte(out, (uint8_t)(FIN | opcode));
    if (payload.len < LENGTH_16) {
        buf_put_byte(out, (uint8_t)payload.len);
    } else {
        unsigned bytes = payload.len <= UINT16_MAX ? 2 : 8;
        buf_put_byte(out, bytes == 2 ? LENGTH_16 : LENGTH_64);
        while (bytes-- > 0)
            buf_put_byte(out, (uint8_t)((uint64_t)payload.len >> (8 * bytes)));
    }
    buf_put_slice(out, payload);
}

void ws_put_close(struct buf *out, enum ws_code code, struct slice reason)
{
    uint8_t payload[2 + WS_REASON_BYTES_MAX] = {(uint8_t)(code >> 8), (uint8_t)code};
    size_t len = reason.len < WS_REASON_BYTES_MAX ? reason.len : WS_REASON_BYTES_MAX;
    while (len < reason.len && len > 0 && (reason.ptr[len] & 0xC0) == 0x80)
        len--;
    if (len > 0)
        memcpy(payload + 2, reason.ptr, len);
    ws_put_frame(out, WS_CLOSE, slice_of(payload, 2 + len));
}

static enum ws_result bad(enum ws_code code, enum ws_code *code_out)
{
    *code_out = code;
    return WS_BAD;
}

static bool is_known(unsigned opcode)
{
    return opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

// Whether a frame of this kind may come now; notes what it begins or ends.
static bool in_order(struct ws_reader *r, unsigned opcode, bool final)
{
    if (opcode >= CONTROL)
        return final;
    if ((opcode == WS_CONTINUATION) != r->fragmented)
        return false;
    r->fragmented = !final;
    return true;
}

enum ws_result ws_take(struct ws_reader *r, uint8_t *bytes, size_t len, size_t *used_out, struct ws_frame *out,
                       enum ws_code *code_out)
{
    if (len < 2)
        return WS_MORE;
    unsigned opcode = bytes[0] & OPCODE;
    uint64_t payload = bytes[1] & LENGTH;
    size_t head = 2;
    if ((bytes[0] & RESERVED) != 0 || !is_known(opcode) || (bytes[1] & MASKED) == 0 ||
        (opcode >= CONTROL && payload > CONTROL_BYTES_MAX))
        return bad(WS_PROTOCOL_ERROR, code_out);
    if (payload >= LENGTH_16) {
        size_t count = payload == LENGTH_16 ? 2 : 8;
        if (len < head + count)
            return WS_MORE;
        payload = 0;
        for (size_t i = 0; i < count; i++)
            payload = payload << 8 | bytes[head + i];
        head += count;
    }
    if (payload > WS_PAYLOAD_BYTES_MAX)
        return bad(WS_TOO_BIG, code_out);
    if (len < head + MASK_BYTES + payload)
        return WS_MORE;
    if (!in_order(r, opcode, (bytes[0] & FIN) != 0))
        return bad(WS_PROTOCOL_ERROR, code_out);
    const uint8_t *mask = bytes + head;
    uint8_t *text = bytes + head + MASK_BYTES;
    for (size_t i = 0; i < payload; i++)
        text[i] ^= mask[i % MASK_BYTES];
    *out = (struct ws_frame){(enum ws_opcode)opcode, slice_of(text, (size_t)payload)};
    *used_out = head + MASK_BYTES + (size_t)payload;
    return WS_FRAME;
}
