/*
 * credentials.h -- who we are to an object store, kept fresh.
 *
 * Looked for in this order; the first place that is set up counts, and what is wrong with it is the
 * error: a file that the options name AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *     AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN (Kubernetes): exchanged at the token service
 *     AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials, if there is such a file
 *     AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI (ECS, EKS pod identity)
 *     the instance's metadata service (EC2, IMDSv2), unless AWS_EC2_METADATA_DISABLED is true
 * In files the profile is AWS_PROFILE, else `default`.
 */
#pragma once

#include "store/blob/transport.h"

struct credentials {
    char key_id[160];
    char secret[256];
    char token[4096];   // "" when there is none
    int64_t expires_ns; // wall clock; 0: never
};

// The text of a shared credentials file.
MUST_CHECK bool credentials_parse_file(struct slice text, const char *profile,
                                       struct credentials *out, struct err *err);
// {"AccessKeyId": ..., "SecretAccessKey": ..., "Token": ..., "Expiration": ...}, as metadata
// services answer.
MUST_CHECK bool credentials_parse_json(struct slice text, struct credentials *out, struct err *err);

// Asks what runs outside of this process. For credentials.c.
MUST_CHECK bool credentials_web_identity(struct transport *t, const char *region,
                                         struct credentials *out, struct err *err);
MUST_CHECK bool credentials_container(struct transport *t, struct credentials *out,
                                      struct err *err);
MUST_CHECK bool credentials_instance(struct transport *t, struct credentials *out, struct err *err);

// Remembers credentials and fetches new ones CREDENTIALS_REFRESH_NS before they expire. Any thread.
struct keyring;
// Both texts are borrowed; `file` may be NULL.
struct keyring *keyring_new(struct transport *t, const char *file, const char *region);
void keyring_free(struct keyring *k); // NULL is fine
MUST_CHECK bool keyring_get(struct keyring *k, struct credentials *out, struct err *err);
// These were refused as expired: the next keyring_get() fetches new ones, unless somebody did
// already.
void keyring_renew(struct keyring *k, const struct credentials *stale);
