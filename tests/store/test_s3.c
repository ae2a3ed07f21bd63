/* test_s3.c -- what the object store's client is made of: verdicts, pauses, credentials' files,
 * XML, options. */
#include "base/clock.h"
#include "base/limits.h"
#include "store/blob/blob.h"
#include "store/blob/credentials.h"
#include "store/blob/retry.h"
#include "store/blob/s3_xml.h"
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>

static void test_verdicts(void)
{
    static const struct {
        int status;
        const char *code;
        enum retry_verdict want;
    } cases[] = {
        {200, "", RETRY_DONE},
        {204, "", RETRY_DONE},
        {206, "", RETRY_DONE},
        {301, "PermanentRedirect", RETRY_NEVER},
        {304, "", RETRY_NEVER},
        {400, "InvalidArgument", RETRY_NEVER},
        {400, "RequestTimeout", RETRY_LATER},
        {400, "BadDigest", RETRY_LATER},
        {400, "ExpiredToken", RETRY_CREDENTIALS},
        {403, "ExpiredToken", RETRY_CREDENTIALS},
        {403, "AccessDenied", RETRY_NEVER},
        {403, "RequestTimeTooSkewed", RETRY_NEVER},
        {403, "SignatureDoesNotMatch", RETRY_NEVER},
        {404, "NoSuchKey", RETRY_NEVER},
        {408, "", RETRY_LATER},
        {409, "ConditionalRequestConflict", RETRY_LATER},
        {412, "PreconditionFailed", RETRY_NEVER},
        {429, "", RETRY_LATER},
        {500, "InternalError", RETRY_LATER},
        {501, "NotImplemented", RETRY_NEVER},
        {502, "", RETRY_LATER},
        {503, "SlowDown", RETRY_LATER},
        {504, "", RETRY_LATER},
        {505, "", RETRY_NEVER},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        ok(retry_judge(cases[i].status, slice_cstr(cases[i].code)) == cases[i].want, "status %d %s",
           cases[i].status, cases[i].code);
}

static void test_pauses(void)
{
    // The largest random share of each bound, and one past it.
    is_int(retry_pause_ns(1, 0, (uint64_t)RETRY_PAUSE_NS), RETRY_PAUSE_NS,
           "the bound after the first attempt");
    is_int(retry_pause_ns(1, 0, (uint64_t)RETRY_PAUSE_NS + 1), 0, "is not passed");
    is_int(retry_pause_ns(2, 0, (uint64_t)RETRY_PAUSE_NS * 2), RETRY_PAUSE_NS * 2, "it doubles");
    is_int(retry_pause_ns(2, 0, (uint64_t)RETRY_PAUSE_NS * 2 + 1), 0, "and is not passed");
    is_int(retry_pause_ns(1000, 0, (uint64_t)RETRY_PAUSE_NS_MAX), RETRY_PAUSE_NS_MAX,
           "up to its maximum");
    is_int(retry_pause_ns(1000, 0, (uint64_t)RETRY_PAUSE_NS_MAX + 1), 0, "which is not passed");
    is_int(retry_pause_ns(1, 3 * NS_PER_S, 5), 3 * NS_PER_S, "what the server asks for");
    is_int(retry_pause_ns(1, RETRY_AFTER_NS_MAX + 1, 5), RETRY_AFTER_NS_MAX, "up to a maximum");

    const int64_t now_s = 1794000000; // Fri, 06 Nov 2026 21:20:00 GMT
    is_int(retry_after_ns(SLICE("7"), now_s), 7 * NS_PER_S, "seconds");
    is_int(retry_after_ns(SLICE("0"), now_s), 0, "no seconds");
    is_int(retry_after_ns(SLICE("20"), now_s), RETRY_AFTER_NS_MAX, "as long as we wait at most");
    is_int(retry_after_ns(SLICE("999999999"), now_s), RETRY_AFTER_NS_MAX, "longer than we wait");
    is_int(retry_after_ns(SLICE("99999999999999999999"), now_s), 0, "no number of seconds");
    is_int(retry_after_ns(SLICE("Fri, 06 Nov 2026 21:20:09 GMT"), now_s), 9 * NS_PER_S, "a date");
    is_int(retry_after_ns(SLICE("Fri, 06 Nov 2026 21:19:00 GMT"), now_s), 0, "a date in the past");
    is_int(retry_after_ns(SLICE("soon"), now_s), 0, "neither");
    is_int(retry_after_ns(SLICE(""), now_s), 0, "nothing");
}

static void test_credentials_file(void)
{
    static const struct {
        const char *text, *profile, *key_id, *secret, *token, *error;
    } cases[] = {
        {"[default]\naws_access_key_id=A\naws_secret_access_key=S\n", "default", "A", "S", "",
         NULL},
        {"[x]\naws_access_key_id=X\naws_secret_access_key=Y\n[default]\naws_access_key_id = A\r\n"
         "\taws_secret_access_key = S=/+ \naws_session_token=T",
         "default", "A", "S=/+", "T", NULL},
        {"aws_access_key_id=X\n[default]\naws_secret_access_key=S\n", "default", NULL, NULL, NULL,
         "lacks"},
        {"[default]\naws_access_key_id=A\n[other]\naws_secret_access_key=S\n", "default", NULL,
         NULL, NULL, "lacks"},
        {"#[default]\n;aws_access_key_id=A\n", "default", NULL, NULL, NULL, "no profile `default`"},
        {"", "p", NULL, NULL, NULL, "no profile `p`"},
        {"[]\n=\n[\n]\n[p]\n", "p", NULL, NULL, NULL, "lacks"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct credentials c;
        struct err err;
        bool good = credentials_parse_file(slice_cstr(cases[i].text), cases[i].profile, &c, &err);
        if (cases[i].error != NULL)
            ok(!good && err.code == ERR_INPUT && strstr(err.text, cases[i].error) != NULL,
               "file %zu is refused", i);
        else
            ok(good && strcmp(c.key_id, cases[i].key_id) == 0 &&
                   strcmp(c.secret, cases[i].secret) == 0 && strcmp(c.token, cases[i].token) == 0,
               "file %zu is read", i);
    }
    // Both sides of the room for a field.
    struct credentials c;
    for (size_t over = 0; over < 2; over++) {
        char text[512], key[sizeof c.key_id + 1] = "";
        memset(key, 'k', sizeof c.key_id - 1 + over);
        key[sizeof c.key_id - 1 + over] = '\0';
        (void)snprintf(text, sizeof text, "[p]\naws_access_key_id=%s\naws_secret_access_key=s\n",
                       key);
        struct err err;
        ok(credentials_parse_file(slice_cstr(text), "p", &c, &err) == (over == 0),
           "a key of %zu bytes", strlen(key));
    }
}

static void test_credentials_json(void)
{
    struct credentials c;
    struct err err;
    must(
        credentials_parse_json(
            SLICE("{ \"Token\":\"t\\/t\" ,\n\"AccessKeyId\" : \"A\", \"SecretAccessKey\":\"s\\\"\","
                  "\"Expiration\":\"2026-11-06T21:20:00Z\"}"),
            &c, &err),
        &err);
    is_text(slice_cstr(c.token), "t/t", "a token");
    is_text(slice_cstr(c.secret), "s\"", "a secret");
    is_int(c.expires_ns, INT64_C(1794000000) * NS_PER_S, "its end");
    static const char *const bad[] = {
        "",
        "{}",
        "{\"AccessKeyId\":\"A\"}",
        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S",
        "{\"AccessKeyId\":7,\"SecretAccessKey\":\"S\"}",
        "{\"AccessKeyId\":\"A\\",
        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Expiration\":\"soon\"}"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        ok(!credentials_parse_json(slice_cstr(bad[i]), &c, &err), "refused: %s", bad[i]);
}

static void test_xml(void)
{
    char text[32];
    struct slice doc = SLICE(
        "<a><KeyCount>2</KeyCount><Key x='1'>k&amp;&#39;&#x41;&zz;&</Key><Key>two</Key><Key>cut");
    ok(xml_text(doc, "Key", text, sizeof text), "an element is found");
    is_text(slice_cstr(text), "k&'A&zz;&", "its entities decoded, unknown ones left");
    ok(xml_text(doc, "Key", text, 4), "in a small room");
    is_text(slice_cstr(text), "k&'", "it is cut");
    ok(!xml_text(doc, "Ke", text, sizeof text) && text[0] == '\0', "a longer name is another");
    struct slice inner;
    ok(xml_next(&doc, "Key", &inner) && xml_next(&doc, "Key", &inner) &&
           slice_eq(inner, SLICE("two")),
       "the second");
    ok(!xml_next(&doc, "Key", &inner), "the third has no end");
    static const char *const broken[] = {"<Key", "<Key>", "<Key </Key", "<Key>&</Ke", "<"};
    for (size_t i = 0; i < COUNT_OF(broken); i++)
        ok(!xml_text(slice_cstr(broken[i]), "Key", text, sizeof text), "nothing in %s", broken[i]);
}

static void test_options(void)
{
    static const struct {
        const char *url, *bucket, *prefix, *error;
    } cases[] = {
        {"http://127.0.0.1:9000", "logs", "", NULL},
        {"https://s3.eu-central-1.amazonaws.com/", "logs", "a/b/", NULL},
        {"ftp://x", "logs", "", "URL"},
        {"http://", "logs", "", "URL"},
        {"http:///x", "logs", "", "URL"},
        {"http://x/?y", "logs", "", "URL"},
        {"http://user:secret@x/", "logs", "", "URL"},
        {"http://x", "lo", "", "bucket"},
        {"http://x", "lo/gs", "", "bucket"},
        {"http://x", "logs", "/a", "prefix"},
        {"http://x", "logs", "a//b", "prefix"},
        {"http://x", "logs", "a b", "prefix"},
        {"http://x", "logs", "a%2f", "prefix"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct blob_options o = {
            .url = cases[i].url, .bucket = cases[i].bucket, .prefix = cases[i].prefix};
        AUTO(blob_closep) struct blob_store *bs = NULL;
        struct err err;
        bool good = blob_open(&o, &bs, &err);
        ok(good == (cases[i].error == NULL) && (good || strstr(err.text, cases[i].error) != NULL),
           "%s %s `%s`", cases[i].url, cases[i].bucket, cases[i].prefix);
    }
    char prefix[BLOB_KEY_BYTES_MAX];
    for (size_t len = BLOB_KEY_BYTES_MAX / 2; len <= BLOB_KEY_BYTES_MAX / 2 + 1; len++) {
        memset(prefix, 'p', len);
        prefix[len] = '\0';
        AUTO(blob_closep) struct blob_store *bs = NULL;
        struct err err;
        ok(blob_open(&(struct blob_options){.url = "http://x", .bucket = "logs", .prefix = prefix},
                     &bs, &err) == (len == BLOB_KEY_BYTES_MAX / 2),
           "a prefix of %zu bytes", len);
    }
}

int main(void)
{
    test_verdicts();
    test_pauses();
    test_credentials_file();
    test_credentials_json();
    test_xml();
    test_options();
    return tap_done();
}
