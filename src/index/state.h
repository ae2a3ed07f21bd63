/* state.h -- the index' own state, for its files. */
#pragma once

#include "index/kv.h"

#include <stdatomic.h>

struct index {
    struct kv *kv; // owned
    atomic_uint refs;
};
