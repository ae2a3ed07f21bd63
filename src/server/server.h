/*
 * server.h -- HTTP in, HTTP out, over one store.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "ingest/ingest.h"
#include "query/query.h"
#include "store/store.h"

enum { SERVER_LISTEN_MAX = 16 };

struct rules; // rules.h

// Every setting, after flags, MSTORE_* and the YAML file were read (config.c).
struct config {
    char *data_dir;                    // owned
    char *listen[SERVER_LISTEN_MAX];   // owned, "ADDR:PORT"
    unsigned listen_count;
    uint64_t memory_bytes;
    uint64_t max_bytes; // disk; 0: no cap
    uint64_t low_water_bytes; // of the disk's free space; 0: none
    int64_t retention_ns;       // of streams without a rule; 0: for ever
    struct rules *rules;        // owned: retention rules as they were given
    struct retention retention; // both, for those who apply them; borrows from here
    int64_t delete_delay_ns;    // in which requests to delete can be taken back
    bool dry_run;               // tell what retention would take away, instead of serving
    bool durability_crash;
    bool require_tenant;
    bool multi_tenant_queries;
    bool allow_anonymous;
    bool rebuild_index;
    char *s3_url;         // owned; NULL or "": no bucket
    char *bucket;         // owned
    char *prefix;         // owned; may be NULL
    char *s3_region;      // owned; may be NULL
    char *s3_credentials; // owned; may be NULL
    int s3_style;         // enum blob_style
    uint64_t s3_upload_rate;
    int64_t s3_snapshot_ns, s3_refresh_ns, s3_grace_ns, s3_lease_ns;
    uint64_t cache_bytes;
    bool read_only;
    int log_level; // enum diag_level
    uint64_t head_bytes;
    int64_t head_idle_ns;
    int64_t query_timeout_ns;
    int64_t tail_ns;            // how long a tail may last
    int64_t connection_idle_ns; // a silent connection is closed
    char *path_prefix;             // owned; NULL: none
    int64_t trace_search_range_ns;  // 0: any
    int64_t trace_metrics_range_ns; // 0: any
};

void config_init(struct config *c); // defaults of design.md 1
void config_done(struct config *c);
// Order of strength: flags, environment, file, defaults. ERR_INPUT names the flag, variable or key (and
// line). *show_out is set to a text to print and exit 0 (--help, --version), else NULL.
MUST_CHECK bool config_read(struct config *c, int argc, char **argv, const char **show_out,
                            struct err *err);
// `key: value` lines; those that are the same in `except` (NULL: none) left out.
void config_print_yaml(const struct config *c, const struct config *except, struct buf *b);
// Fills in what depends on other settings, and the default addresses.
void config_complete(struct config *c);

struct server;

// Listens on every address of the configuration. Returns when requests are served.
MUST_CHECK bool server_start(const struct config *config, struct store *store,
                             struct server **server_out, struct err *err);
// The addresses listened on, with the ports that were chosen for port 0, separated by commas.
void server_addresses(const struct server *server, struct buf *b);
// Stops accepting, lets requests in hand finish (bounded time), closes. NULL is fine.
void server_stop(struct server *server);
