/* view.h -- what a view shares with its loaders. */
#pragma once

#include "store/manifest.h"
#include "store/store.h"

// Borrowed until view_end(); any thread.
struct manifest *view_manifest(const struct view *view);
