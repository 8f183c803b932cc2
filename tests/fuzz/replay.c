/* replay.c: runs a fuzz target over the files it is given, with any compiler: every crash ever found stays a test. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    int i;

    for (i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        uint8_t *bytes = malloc(1 << 22);
        size_t n;
        if (f == NULL || bytes == NULL) {
            fprintf(stderr, "cannot read %s\n", argv[i]);
            return 2;
        }
        n = fread(bytes, 1, 1 << 22, f);
        fclose(f);
        bytes = n == 0 ? bytes : realloc(bytes, n); /* a sanitizer sees one byte past the end */
        LLVMFuzzerTestOneInput(bytes, n);
        free(bytes);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
