/* main.c -- replays every file of a directory through a fuzz target: fuzz inputs are ordinary tests too. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    int count = 0;
    DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;
    if (dir == NULL) {
        printf("Bail out! usage: %s CORPUS_DIR\n", argv[0]);
        return 1;
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (f == NULL)
            continue;
        uint8_t *bytes = malloc(1 << 20);
        size_t len = fread(bytes, 1, 1 << 20, f);
        (void)fclose(f);
        (void)LLVMFuzzerTestOneInput(bytes, len);
        free(bytes);
        printf("ok %d - %s\n", ++count, e->d_name);
    }
    (void)closedir(dir);
    printf("1..%d\n", count);
    return count == 0;
}
