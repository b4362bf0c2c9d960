/* fragments.c - the data of every DataFragment of a file, without a server. */
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "ctl.h"
#include "fec/encoder.h"

#define BATCH_COUNT 64

const struct option fragments_options[] = {
    {OPTION_ONE, "fragment-size", "S", "octets of a fragment, 1 .. 255 (needed)"},
    {OPTION_ONE, "coded", "R", "coded fragments after the uncoded ones (needed)"},
    {OPTION_ONE, "version", "1|2", "version of the Fragmented Data Block Transport (default: 1)"},
    {OPTION_END, NULL, NULL, NULL},
};

static void print_fragment(bool is_json, unsigned number, const uint8_t *data, unsigned size)
{
    char text[2 * FEC_FRAGMENT_SIZE_MAX + 1];

    hex_encode(data, size, text);
    if (is_json)
        printf("%s{\"n\":%u,\"data\":\"%s\"}", number > 1 ? "," : "", number, text);
    else
        printf("%u %s\n", number, text);
}

static enum err print_all(const struct fec_block *block, unsigned coded_count, bool is_json)
{
    const unsigned m = block->fragment_count;
    const unsigned size = block->fragment_size;
    uint8_t *data = need(malloc((size_t)BATCH_COUNT * size));
    void *scratch = need(aligned_alloc(64, (fec_encode_scratch_size(block) + 64) / 64 * 64));
    enum err err = ERR_OK;

    if (is_json)
        printf("{\"version\":%d,\"fragment_size\":%u,\"fragment_count\":%u,\"coded_count\":%u,"
               "\"padding\":%u,\"fragments\":[",
               (int)block->version, size, m, coded_count, fec_block_padding(block));
    for (unsigned n = 1; n <= m && err == ERR_OK; n++) {
        err = fec_fragment(block, n, data);
        if (err == ERR_OK)
            print_fragment(is_json, n, data, size);
    }
    for (unsigned done = 0; done < coded_count && err == ERR_OK; done += BATCH_COUNT) {
        const unsigned left = coded_count - done;
        const unsigned count = left < BATCH_COUNT ? left : BATCH_COUNT;

        err = fec_encode(block, m + 1 + done, count, data, scratch);
        for (unsigned i = 0; i < count && err == ERR_OK; i++)
            print_fragment(is_json, m + 1 + done + i, data + (size_t)i * size, size);
    }
    if (is_json)
        puts("]}");
    free(scratch);
    free(data);
    return err;
}

enum exit_code fragments_print(const struct args *args)
{
    long long size = 0;
    long long coded = -1;
    long long version = 1;
    struct fec_block block;
    uint8_t *image;
    size_t image_size;
    enum err err;

    if (!args_number(args, "fragment-size", 1, FEC_FRAGMENT_SIZE_MAX, &size) ||
        !args_number(args, "coded", 0, FEC_NUMBER_MAX, &coded) ||
        !args_number(args, "version", 1, 2, &version))
        return EXIT_USAGE;
    if (size == 0 || coded < 0) {
        complain("fragments: --fragment-size and --coded are needed");
        return EXIT_USAGE;
    }
    image = read_file(args->operands[0], IMAGE_SIZE_MAX, &image_size);
    if (!image)
        return EXIT_USAGE;
    err = fec_block_init(&block, version == 1 ? FEC_V1 : FEC_V2, image, image_size, (unsigned)size);
    if (err != ERR_OK) {
        if (image_size == 0)
            complain("%s is empty", args->operands[0]);
        else
            complain("%s has %zu octets: more than %d fragments of %lld octets", args->operands[0],
                     image_size, FEC_NUMBER_MAX, size);
        free(image);
        return EXIT_USAGE;
    }
    if (coded > FEC_NUMBER_MAX - (long long)block.fragment_count) {
        complain("%u uncoded and %lld coded fragments: %d at most together", block.fragment_count,
                 coded, FEC_NUMBER_MAX);
        free(image);
        return EXIT_USAGE;
    }
    if (fec_count_is_bad(block.fragment_count))
        complain("warning: with %u fragments the code is weak (a multiple of 64 that is no power "
                 "of two); choose another fragment size",
                 block.fragment_count);
    err = print_all(&block, (unsigned)coded, args_has(args, "json"));
    free(image);
    if (err != ERR_OK) {
        complain("fragments: %s", err_text(err));
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}
