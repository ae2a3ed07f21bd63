/*
 * bucket.h -- `s3://BUCKET/PREFIX` in the place of a directory, and `s3://BUCKET/PREFIX/segments/GENERATION.seg` in that of a file.
 *
 * Where the object store is, and who we are to it, is said as to mstored: --s3, --s3-region, --s3-credentials, --s3-style, or
 * MSTORE_S3 and so on; what is not said is looked for as store/blob/credentials.h tells.
 */
#pragma once

#include "store/far/far_live.h"
#include "store/segment/seg.h"

struct dump_bucket {
    struct blob_options options; // borrows from below, and from the arguments
    char bucket[64];
    char prefix[BLOB_KEY_BYTES_MAX];
    uint64_t gen; // of a segment that the path names; 0: all
};

// Takes the options of this file out of a program's arguments. On false an option lacks its value, or it is wrong.
MUST_CHECK bool dump_bucket_options(int *argc, char **argv, struct err *err);
bool dump_is_bucket(const char *path);
// ERR_INPUT: it is no such path, or --s3 is missing. `out` stays where it is as long as its options are used.
MUST_CHECK bool dump_bucket_parse(const char *path, struct dump_bucket *out, struct err *err);
// Calls visit() for each live segment that a path of a bucket names, until it returns false.
MUST_CHECK bool dump_bucket_visit(const char *path, bool (*visit)(void *ctx, struct seg *seg, struct err *err), void *ctx,
                                  struct err *err);
