/*
 * fuzz_replay.c - main() of a fuzz entry point without a fuzzer: runs it on every file of the
 * folders given.
 *
 * Each input stands in a buffer of its exact size, so that AddressSanitizer sees a read past its
 * end. A folder without files is an error: a corpus that moved away must not pass.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define INPUT_SIZE_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    static uint8_t input[INPUT_SIZE_MAX];
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        perror(path);
        return -1;
    }
    size_t size = fread(input, 1, sizeof(input), file);
    int is_bad = ferror(file) || size == sizeof(input);
    fclose(file);
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (is_bad || exact == NULL) {
        fprintf(stderr, "%s: cannot be read, or is too large\n", path);
        free(exact);
        return -1;
    }
    for (size_t i = 0; i < size; i++) {
        exact[i] = input[i];
    }
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

/* The number of files replayed, or -1. */
static int replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int count = 0;

    if (dir == NULL) {
        perror(folder);
        return -1;
    }
    while ((entry = readdir(dir)) != NULL) {
        char path[4096];
        struct stat st;
        int length = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);

        if (length < 0 || (size_t)length >= sizeof(path)) {
            fprintf(stderr, "%s/%s: the path is too long\n", folder, entry->d_name);
            count = -1;
            break;
        }
        if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
            continue;
        }
        if (replay_file(path) != 0) {
            count = -1;
            break;
        }
        count++;
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER...\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        int count = replay_folder(argv[i]);

        if (count <= 0) {
            fprintf(stderr, "%s: %s\n", argv[i], count == 0 ? "no files" : "stopped");
            return 1;
        }
        printf("%s: %d inputs\n", argv[i], count);
    }
    return 0;
}
