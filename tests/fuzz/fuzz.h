/*
 * fuzz.h -- each fuzz_x.c defines one target; main.c replays its corpus as an ordinary test, and libFuzzer
 * explores from there (meson -Dfuzz=true).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
