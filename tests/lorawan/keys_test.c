/* keys_test.c - the key hierarchy and the MIC of TS004-2.0.0, from vectors alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lorawan/keys.h"
#include "lorawan/vectors.h"

static struct key key_at(const cJSON *object, const char *name)
{
    struct key key;

    vectors_exactly(object, name, key.octets, KEY_SIZE);
    return key;
}

static void assert_key_at(const cJSON *object, const char *name, const void *octets)
{
    struct key want = key_at(object, name);

    assert_memory_equal(octets, want.octets, KEY_SIZE);
}

static void each_derivation_of_the_vectors_gives_its_key(void **state)
{
    (void)state;
    cJSON *root = vectors_load();
    const cJSON *entry;
    int used = 0;

    cJSON_ArrayForEach(entry, vectors_at(root, "key_derivation"))
    {
        const char *name = vectors_text(entry, "name");
        const cJSON *in = vectors_at(entry, "inputs");
        struct mc_session_keys session;
        struct key got, from;

        if (strcmp(name, "McRootKey, LoRaWAN 1.0.x") == 0) {
            from = key_at(in, "gen_app_key");
            assert_int_equal(key_mc_root(&from, LORAWAN_1_0, &got), ERR_OK);
        } else if (strcmp(name, "McRootKey, LoRaWAN 1.1") == 0) {
            from = key_at(in, "app_key");
            assert_int_equal(key_mc_root(&from, LORAWAN_1_1, &got), ERR_OK);
        } else if (strcmp(name, "McKEKey") == 0) {
            from = key_at(in, "mc_root_key");
            assert_int_equal(key_mc_ke(&from, &got), ERR_OK);
        } else if (strcmp(name, "McAppSKey") == 0 || strcmp(name, "McNwkSKey") == 0) {
            from = key_at(in, "mc_key");
            assert_int_equal(key_mc_session(&from, vectors_dev_addr(in, "mc_addr"), &session),
                             ERR_OK);
            got = strcmp(name, "McAppSKey") == 0 ? session.mc_app_s_key : session.mc_nwk_s_key;
        } else if (strcmp(name, "McKey_encrypted") == 0) {
            struct key mc_ke_key = key_at(in, "mc_ke_key");
            from = key_at(in, "mc_key");
            assert_int_equal(key_mc_key_encrypt(&mc_ke_key, &from, got.octets), ERR_OK);
        } else {
            fail_msg("no function for the vector \"%s\"", name);
        }
        assert_key_at(entry, "output", got.octets);
        used++;
    }
    assert_int_equal(used, 6);
    cJSON_Delete(root);
}

static void each_chain_of_the_vectors_leads_from_the_root_to_the_session(void **state)
{
    (void)state;
    cJSON *root = vectors_load();
    const cJSON *entry;
    int used = 0;

    cJSON_ArrayForEach(entry, vectors_at(root, "key_chains"))
    {
        bool is_1_1 = strcmp(vectors_text(entry, "lorawan"), "1.1") == 0;
        struct key key = key_at(entry, is_1_1 ? "app_key" : "gen_app_key");
        struct key mc_key = key_at(entry, "mc_key");
        struct key data_block_int_key;
        struct mc_session_keys session;
        uint8_t encrypted[KEY_SIZE];

        assert_true(is_1_1 || strcmp(vectors_text(entry, "lorawan"), "1.0.x") == 0);
        assert_int_equal(key_data_block_int(&key, &data_block_int_key), ERR_OK);
        assert_key_at(entry, "data_block_int_key", data_block_int_key.octets);
        /* In place: a result may overwrite its input. */
        assert_int_equal(key_mc_root(&key, is_1_1 ? LORAWAN_1_1 : LORAWAN_1_0, &key), ERR_OK);
        assert_key_at(entry, "mc_root_key", key.octets);
        assert_int_equal(key_mc_ke(&key, &key), ERR_OK);
        assert_key_at(entry, "mc_ke_key", key.octets);
        assert_int_equal(key_mc_key_encrypt(&key, &mc_key, encrypted), ERR_OK);
        assert_key_at(entry, "mc_key_encrypted", encrypted);
        assert_int_equal(key_mc_session(&mc_key, vectors_dev_addr(entry, "mc_addr"), &session),
                         ERR_OK);
        assert_key_at(entry, "mc_app_s_key", session.mc_app_s_key.octets);
        assert_key_at(entry, "mc_nwk_s_key", session.mc_nwk_s_key.octets);
        used++;
    }
    assert_int_equal(used, 4);
    cJSON_Delete(root);
}

static void each_mic_of_the_vectors_is_over_the_data_without_padding(void **state)
{
    (void)state;
    cJSON *root = vectors_load();
    const cJSON *entry;
    int used = 0;

    cJSON_ArrayForEach(entry, vectors_at(root, "data_block_mic"))
    {
        struct key root_key = key_at(entry, "root_key"), key;
        uint8_t buf[VECTOR_SIZE_MAX], descriptor[4], want[4], mic[4];
        size_t size = vectors_octets(entry, "data", buf, sizeof(buf));
        uint8_t *data = malloc(size);

        assert_non_null(data);
        memcpy(data, buf, size);
        vectors_exactly(entry, "descriptor", descriptor, 4);
        vectors_exactly(entry, "mic", want, 4);
        assert_int_equal(key_data_block_int(&root_key, &key), ERR_OK);
        assert_key_at(entry, "data_block_int_key", key.octets);
        assert_int_equal(key_data_block_mic(&key, (uint16_t)vectors_u32(entry, "session_cnt"),
                                            vectors_u8(entry, "frag_index"), descriptor, data, size,
                                            mic),
                         ERR_OK);
        assert_memory_equal(mic, want, 4);
        free(data);
        used++;
    }
    assert_int_equal(used, 6);
    cJSON_Delete(root);
}

static void an_empty_block_has_a_mic_too(void **state)
{
    (void)state;
    struct key key = {{0}};
    uint8_t mic[4];

    assert_int_equal(key_data_block_mic(&key, 0, 0, (const uint8_t[4]){0}, NULL, 0, mic), ERR_OK);
}

static void only_the_all_zero_key_is_zero(void **state)
{
    (void)state;
    struct key key = {{0}};

    assert_true(key_is_zero(&key));
    for (size_t bit = 0; bit < 8 * KEY_SIZE; bit++) {
        key.octets[bit / 8] = (uint8_t)(1u << bit % 8);
        assert_false(key_is_zero(&key));
        key.octets[bit / 8] = 0;
    }
}

static void a_wiped_key_is_gone(void **state)
{
    (void)state;
    struct key key;

    memset(&key, 0x5A, sizeof(key));
    key_wipe(&key, sizeof(key));
    assert_true(key_is_zero(&key));
    key_wipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_derivation_of_the_vectors_gives_its_key),
        cmocka_unit_test(each_chain_of_the_vectors_leads_from_the_root_to_the_session),
        cmocka_unit_test(each_mic_of_the_vectors_is_over_the_data_without_padding),
        cmocka_unit_test(an_empty_block_has_a_mic_too),
        cmocka_unit_test(only_the_all_zero_key_is_zero),
        cmocka_unit_test(a_wiped_key_is_gone),
    };
    return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
