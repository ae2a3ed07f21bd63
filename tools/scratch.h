/*
 * scratch.h -- a temporary directory below TMPDIR (or /tmp), which goes with all that is in it: when it is done, and when the process is ended by
 * a signal that can be caught: an interrupt, a reader that closes its end of the pipe. The signal then ends the process as it would have.
 *
 * To be used before the first thread is started; one thread.
 */
#pragma once

#include "base/attr.h"
#include "base/err.h"

struct dump_scratch {
    char path[256]; // "": none
};
MUST_CHECK bool dump_scratch_make(struct dump_scratch *s, struct err *err);
void dump_scratch_done(struct dump_scratch *s);
