/*
 * seg_section.h -- finds, reads and checks the sections that a segment's footer names.
 */
#pragma once

#include "base/arena.h"
#include "store/segment/seg.h"

// NULL: there is none.
const struct seg_section_place *seg_section_find(const struct seg_footer *f, enum seg_section kind);
// Whether it is there, and lies in the file.
bool seg_section_fits(const struct seg_footer *f, const struct seg_section_place *s);
// Reads a table, checks it and decompresses it into `a`.
MUST_CHECK bool seg_section_read(const struct seg_source *source, const struct seg_footer *f, enum seg_section kind, struct arena *a,
                                 struct slice *raw_out, struct err *err);
