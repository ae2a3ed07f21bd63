/* state.h -- the index' own state, for its files. */
#pragma once

#include "index/kv.h"

struct index {
    struct kv *kv; // owned
};
