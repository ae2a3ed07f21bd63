/* view.h -- what a view shares with its loaders. */
#pragma once

#include "store/manifest.h"
#include "store/store.h"

// Borrowed until view_end(); any thread.
struct manifest *view_manifest(const struct view *view);

// Which entries of a run are handed out: those not before from_ns.
struct run_mask {
    int64_t from_ns;
};
