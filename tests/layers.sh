#!/bin/sh
# The include table of docs/ARCHITECTURE.md, checked: layers look one way only. Speaks TAP.
set -u
cd "$1" || exit 1
count=0
check() { # name, include patterns that are refused, files
    name=$1 refused=$2
    shift 2
    count=$((count + 1))
    found=$(grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[\"<]($refused)" "$@" /dev/null)
    if [ -z "$found" ]; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        echo "$found" | sed 's/^/# /'
    fi
}
# shellcheck disable=SC2046
files() { find "$@" -name '*.c' -o -name '*.h' -o -name '*.re' -o -name '*.cc'; }

check "base includes nothing above it" '(index|store|ingest|query|server)/|lmdb|microhttpd|snappy|re2/' $(files src/base)
check "index includes base only" '(store|ingest|query|server)/|zstd|microhttpd|snappy|re2/' $(files src/index)
check "store sees index through index.h" '(ingest|query|server)/|index/(kv|keys|postings)|lmdb|zstd|microhttpd|snappy|re2/' $(files src/store)
check "ingest sees the store through store.h" '(index|query|server)/|store/blob/|store/((segment|span|head|far)/|(manifest|state|view|wal)\.h)|lmdb|zstd|microhttpd|re2/' $(files src/ingest)
check "query sees the store through store.h" '(index|ingest|server)/|store/blob/|store/((segment|span|head|far)/|(manifest|state|view|wal)\.h)|lmdb|zstd|microhttpd|snappy' $(files src/query)
check "server sees public headers" 'index/|store/blob/|store/((segment|span|head|far)/|(manifest|state|view|wal)\.h)|ingest/(json|inflate|build|snappy|negotiate|validate)|query/(logql|pipeline|regex)|lmdb|zstd|snappy|re2/' $(files src/server) $(ls src/main.c 2>/dev/null)
check "lmdb has one door" 'lmdb' $(files src tools | grep -v '^src/index/kv\.')
check "zstd has one door" 'zstd' $(files src tools | grep -v '^src/base/zbuf\.c')
check "xxhash has one door" 'xxhash' $(files src tools | grep -v '^src/base/hash\.c')
check "libmicrohttpd has one door" 'microhttpd' $(files src tools | grep -v '^src/server/http\.c')
check "libcurl has one door" 'curl/' $(files src tools | grep -v '^src/store/blob/transport\.c')
check "nettle has one door" 'nettle/' $(files src tools | grep -v '^src/base/digest\.c')
check "sqlite has one door" 'sqlite3' $(files src tools | grep -v '^tools/export_sqlite\.c')
check "RE2 has one door" 're2/' $(files src tools | grep -v '^src/query/regex\.cc')
check "tools do not include the server" 'server/' $(files tools)
echo "1..$count"
