/* view.h -- what a view shares with its loaders. */
#pragma once

#include "store/manifest.h"
#include "store/store.h"

// Borrowed until view_end(); any thread.
struct manifest *view_manifest(const struct view *view);

// run_may_hold(), with the loader's reader.
bool view_probe_may_hold(struct view_probe *probe, struct seg_reader *reader, const struct view_run *run);
