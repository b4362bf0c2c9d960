/* keys.c - every step from a device's root key to the keys of a multicast group. */
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "ctl.h"
#include "lorawan/keys.h"

#define KEY_TEXT_SIZE (2 * KEY_SIZE + 1)

const struct option keys_options[] = {
    {OPTION_ONE, "gen-app-key", "K", "root key of a LoRaWAN 1.0.x device, or ..."},
    {OPTION_ONE, "app-key", "K", "... of a LoRaWAN 1.1 device"},
    {OPTION_ONE, "mc-addr", "A", "McAddr, 8 hexadecimal digits (needed)"},
    {OPTION_ONE, "mc-key", "K", "McKey (needed)"},
    {OPTION_END, NULL, NULL, NULL},
};

struct secrets {
    struct key root;
    struct key mc_key;
    struct key mc_root_key;
    struct key mc_ke_key;
    struct key data_block_int_key;
    struct mc_session_keys session;
    uint8_t mc_key_encrypted[KEY_SIZE];
    char line[256];
    char out[1024];
};

/* A key from its 32 digits, from @FILE, or from the next line of stdin for "-". */
static bool read_key(struct secrets *secrets, const char *option, char *value, struct key *ret_key)
{
    const size_t value_size = strlen(value);
    char *line = secrets->line;
    FILE *file = NULL;
    size_t size;

    if (strcmp(value, "-") == 0)
        file = stdin;
    else if (value[0] == '@')
        file = fopen(value + 1, "r");
    if (!file && value[0] == '@') {
        complain("--%s: %s cannot be opened", option, value + 1);
        return false;
    }
    if (file) {
        setvbuf(file, NULL, _IONBF, 0); /* no copy stays in a buffer */
        if (!fgets(line, sizeof(secrets->line), file))
            line[0] = '\0';
        if (file != stdin)
            fclose(file);
    } else {
        snprintf(line, sizeof(secrets->line), "%s", value);
        key_wipe(value, value_size); /* and out of the list of processes */
    }
    size = strlen(line);
    while (size > 0 && strchr(" \t\r\n", line[size - 1]))
        line[--size] = '\0';
    if (hex_decode(line, size, ret_key->octets, KEY_SIZE) != ERR_OK) {
        complain("--%s must be 32 hexadecimal digits, @FILE or - for stdin", option);
        return false;
    }
    return true;
}

static enum err derive(struct secrets *s, enum lorawan_version version, uint32_t mc_addr)
{
    enum err err = key_mc_root(&s->root, version, &s->mc_root_key);

    if (err == ERR_OK)
        err = key_mc_ke(&s->mc_root_key, &s->mc_ke_key);
    if (err == ERR_OK)
        err = key_mc_key_encrypt(&s->mc_ke_key, &s->mc_key, s->mc_key_encrypted);
    if (err == ERR_OK)
        err = key_mc_session(&s->mc_key, mc_addr, &s->session);
    if (err == ERR_OK)
        err = key_data_block_int(&s->root, &s->data_block_int_key);
    return err;
}

static void print_steps(struct secrets *s, bool is_json, bool is_1_1)
{
    const struct {
        const char *member;
        const char *name;
        const char *from;
        const uint8_t *octets;
    } steps[] = {
        {"mc_root_key", "McRootKey",
         is_1_1 ? "aes128_encrypt(AppKey, 20 00..)" : "aes128_encrypt(GenAppKey, 00..)",
         s->mc_root_key.octets},
        {"mc_ke_key", "McKEKey", "aes128_encrypt(McRootKey, 00..)", s->mc_ke_key.octets},
        {"mc_key_encrypted", "McKey_encrypted", "aes128_decrypt(McKEKey, McKey)",
         s->mc_key_encrypted},
        {"mc_app_s_key", "McAppSKey", "aes128_encrypt(McKey, 01 McAddr 00..)",
         s->session.mc_app_s_key.octets},
        {"mc_nwk_s_key", "McNwkSKey", "aes128_encrypt(McKey, 02 McAddr 00..)",
         s->session.mc_nwk_s_key.octets},
        {"data_block_int_key", "DataBlockIntKey",
         is_1_1 ? "aes128_encrypt(AppKey, 30 00..)" : "aes128_encrypt(GenAppKey, 30 00..)",
         s->data_block_int_key.octets},
    };
    const size_t count = sizeof(steps) / sizeof(steps[0]);
    size_t size = 0;

    for (size_t i = 0; i < count; i++) {
        char text[KEY_TEXT_SIZE];

        hex_encode(steps[i].octets, KEY_SIZE, text);
        if (is_json)
            size += (size_t)snprintf(s->out + size, sizeof(s->out) - size, "%s\"%s\":\"%s\"%s",
                                     i == 0 ? "{" : ",", steps[i].member, text,
                                     i + 1 == count ? "}\n" : "");
        else
            size += (size_t)snprintf(s->out + size, sizeof(s->out) - size, "%-16s%s  %s\n",
                                     steps[i].name, text, steps[i].from);
        key_wipe(text, sizeof(text));
    }
    setvbuf(stdout, NULL, _IONBF, 0);
    fwrite(s->out, 1, size, stdout);
}

enum exit_code keys_derive(const struct args *args)
{
    char *gen_app_key = args_value(args, "gen-app-key");
    char *app_key = args_value(args, "app-key");
    char *mc_key = args_value(args, "mc-key");
    const char *addr_text = args_value(args, "mc-addr");
    const bool is_1_1 = app_key != NULL;
    struct secrets secrets = {0};
    enum exit_code code = EXIT_USAGE;
    uint32_t mc_addr;
    enum err err;

    if ((gen_app_key != NULL) == is_1_1) {
        complain("keys derive: give one of --gen-app-key and --app-key");
        return EXIT_USAGE;
    }
    if (!mc_key || !addr_text) {
        complain("keys derive: --mc-addr and --mc-key are needed");
        return EXIT_USAGE;
    }
    if (dev_addr_parse(addr_text, &mc_addr) != ERR_OK) {
        complain("--mc-addr must be 8 hexadecimal digits");
        return EXIT_USAGE;
    }
    if (!read_key(&secrets, is_1_1 ? "app-key" : "gen-app-key", is_1_1 ? app_key : gen_app_key,
                  &secrets.root) ||
        !read_key(&secrets, "mc-key", mc_key, &secrets.mc_key))
        goto out;
    err = derive(&secrets, is_1_1 ? LORAWAN_1_1 : LORAWAN_1_0, mc_addr);
    if (err != ERR_OK) {
        complain("keys derive: %s", err_text(err));
        code = EXIT_FAILED;
        goto out;
    }
    print_steps(&secrets, args_has(args, "json"), is_1_1);
    code = EXIT_DONE;
out:
    key_wipe(&secrets, sizeof(secrets));
    return code;
}
