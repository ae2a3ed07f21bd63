/*
 * lines.h -- log lines of three kinds, made from a seed: the same seed makes the same lines.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

// Each writes one line of at most `room` bytes and returns its length; *seed (not 0) moves on.
int line_nginx(uint64_t *seed, char *to, size_t room);
int line_json(uint64_t *seed, char *to, size_t room);
int line_logfmt(uint64_t *seed, char *to, size_t room);
