/* encode_value.h -- attributes and their values as messages: AnyValue and KeyValue of OpenTelemetry (traces-http.md 4.3). */
#pragma once

#include "base/msgout.h"
#include "store/span.h"

// The members of an AnyValue, within a message that the caller opened.
void encode_value(struct msgout *m, const struct span_value *value);
// A list of KeyValue messages; nothing when there are none.
void encode_attributes(struct msgout *m, uint32_t field, const char *name, const struct span_attributes *attributes);
// A value as JSON text, as 11.3 has it: what an array or a map is to those who read strings.
void encode_value_text(struct buf *b, const struct span_value *value);
