/* rules.h -- retention rules as settings: `[TENANT] SELECTOR: DURATION`, one a line of text. */
#pragma once

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "store/retention.h"

// In the order of their strength: the first that a stream satisfies decides.
struct rules;

struct rules *rules_new(void);
void rules_free(struct rules *rules); // NULL is fine
// `{env="dev"}: 24h`, `team-a {job="audit"}: 2160h`, `team-a {}: 0`. ERR_INPUT says what is wrong; RULES_MAX at most.
MUST_CHECK bool rules_add(struct rules *rules, const char *text, struct err *err);
// Borrowed until the next rules_add() or rules_free().
const struct retention_rule *rules_items(const struct rules *rules, size_t *count_out);
