/*
 * vectors_test.c - every vector of a TS003, TS004 or TS005 version 1 command, message or malformed
 * payload.
 *
 * The vectors of version 2, TS006 and TS007 have no code yet: they are counted, so that none is
 * skipped silently.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lorawan/clock_sync.h"
#include "lorawan/fragmentation.h"
#include "lorawan/multicast_setup.h"
#include "lorawan/vectors.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum package {
    CLOCK_SYNC,
    FRAGMENTATION,
    MULTICAST_SETUP,
    FIRMWARE_MANAGEMENT,
    MULTI_PACKAGE_ACCESS,
    PACKAGE_COUNT,
};

static const char *const package_names[PACKAGE_COUNT] = {
    "clock_sync", "fragmentation", "multicast_setup", "firmware_management", "multi_package_access",
};

static enum package package_of(const cJSON *vector)
{
    const char *name = vectors_text(vector, "package");

    for (unsigned i = 0; i < PACKAGE_COUNT; i++) {
        if (strcmp(name, package_names[i]) == 0) {
            return (enum package)i;
        }
    }
    fail_msg("the package \"%s\" is unknown", name);
    return PACKAGE_COUNT;
}

static bool has_code(enum package package, uint32_t version)
{
    return version == 1 && package <= MULTICAST_SETUP;
}

static bool is_downlink(const cJSON *vector)
{
    const char *direction = vectors_text(vector, "direction");

    assert_true(strcmp(direction, "downlink") == 0 || strcmp(direction, "uplink") == 0);
    return strcmp(direction, "downlink") == 0;
}

static bool is_named(const char *name, const char *want)
{
    return strcmp(name, want) == 0;
}

/* Downlinks */

static enum err encode_clock_sync(const char *name, const cJSON *f, uint8_t *buf, size_t buf_size,
                                  size_t *ret_size)
{
    if (is_named(name, "AppTimeAns")) {
        double correction = vectors_at(f, "time_correction")->valuedouble;
        return app_time_ans_encode((int32_t)correction, vectors_u8(f, "token_ans"), buf, buf_size,
                                   ret_size);
    }
    if (is_named(name, "DeviceAppTimePeriodicityReq")) {
        return device_app_time_periodicity_req_encode(vectors_u8(f, "period"), buf, buf_size,
                                                      ret_size);
    }
    if (is_named(name, "ForceDeviceResyncReq")) {
        return force_device_resync_req_encode(vectors_u8(f, "nb_transmissions"), buf, buf_size,
                                              ret_size);
    }
    fail_msg("no encoder for %s", name);
    return ERR_UNKNOWN;
}

static enum err encode_fragmentation(const char *name, const cJSON *f, uint8_t *buf,
                                     size_t buf_size, size_t *ret_size)
{
    uint8_t frag_index = vectors_u8(f, "frag_index");

    if (is_named(name, "FragSessionSetupReq")) {
        struct frag_session_setup_req req = {
            .frag_index = frag_index,
            .mc_group_mask = vectors_u8(f, "mc_group_bit_mask"),
            .fragment_count = (uint16_t)vectors_u32(f, "nb_frag"),
            .fragment_size = vectors_u8(f, "frag_size"),
            .fragmentation_matrix = vectors_u8(f, "frag_algo"),
            .block_ack_delay = vectors_u8(f, "block_ack_delay"),
            .padding_size = vectors_u8(f, "padding"),
        };
        vectors_exactly(f, "descriptor", req.descriptor, sizeof(req.descriptor));
        return frag_session_setup_req_encode_v1(&req, buf, buf_size, ret_size);
    }
    if (is_named(name, "FragSessionStatusReq")) {
        struct frag_session_status_req req = {frag_index, vectors_flag(f, "participants")};
        return frag_session_status_req_encode(&req, buf, buf_size, ret_size);
    }
    if (is_named(name, "FragSessionDeleteReq")) {
        struct frag_session_delete_req req = {frag_index};
        return frag_session_delete_req_encode(&req, buf, buf_size, ret_size);
    }
    if (is_named(name, "DataFragment")) {
        uint8_t data[FRAG_SIZE_MAX];
        size_t size = vectors_octets(f, "data", data, sizeof(data));
        return data_fragment_encode(frag_index, (uint16_t)vectors_u32(f, "n"), data, size, buf,
                                    buf_size, ret_size);
    }
    fail_msg("no encoder for %s", name);
    return ERR_UNKNOWN;
}

static enum err encode_multicast_setup(const char *name, const cJSON *f, uint8_t *buf,
                                       size_t buf_size, size_t *ret_size)
{
    if (is_named(name, "McGroupStatusReq")) {
        struct mc_group_status_req req = {vectors_u8(f, "req_group_mask")};
        return mc_group_status_req_encode(&req, buf, buf_size, ret_size);
    }
    uint8_t mc_group_id = vectors_u8(f, "mc_group_id");
    if (is_named(name, "McGroupSetupReq")) {
        struct mc_group_setup_req req = {
            .mc_group_id = mc_group_id,
            .mc_addr = vectors_dev_addr(f, "mc_addr"),
            .min_mc_f_cnt = vectors_u32(f, "min_mc_fcnt"),
            .max_mc_f_cnt = vectors_u32(f, "max_mc_fcnt"),
        };
        vectors_exactly(f, "mc_key_encrypted", req.mc_key_encrypted, sizeof(req.mc_key_encrypted));
        return mc_group_setup_req_encode(&req, buf, buf_size, ret_size);
    }
    if (is_named(name, "McGroupDeleteReq")) {
        struct mc_group_delete_req req = {mc_group_id};
        return mc_group_delete_req_encode(&req, buf, buf_size, ret_size);
    }
    if (is_named(name, "McClassCSessionReq")) {
        struct mc_class_c_session_req req = {
            .mc_group_id = mc_group_id,
            .session_time = vectors_u32(f, "session_time"),
            .time_out = vectors_u8(f, "time_out"),
            .frequency_hz = vectors_u32(f, "dl_freq_hz"),
            .data_rate = vectors_u8(f, "dr"),
        };
        return mc_class_c_session_req_encode(&req, buf, buf_size, ret_size);
    }
    if (is_named(name, "McClassBSessionReq")) {
        struct mc_class_b_session_req req = {
            .mc_group_id = mc_group_id,
            .session_time = vectors_u32(f, "session_time"),
            .time_out = vectors_u8(f, "time_out"),
            .periodicity = vectors_u8(f, "periodicity"),
            .frequency_hz = vectors_u32(f, "dl_freq_hz"),
            .data_rate = vectors_u8(f, "dr"),
        };
        return mc_class_b_session_req_encode(&req, buf, buf_size, ret_size);
    }
    fail_msg("no encoder for %s", name);
    return ERR_UNKNOWN;
}

static enum err encode(enum package package, const cJSON *command, uint8_t *buf, size_t buf_size,
                       size_t *ret_size)
{
    const char *name = vectors_text(command, "name");
    const cJSON *fields = vectors_at(command, "fields");

    if (is_named(name, "PackageVersionReq")) {
        return package_version_req_encode(buf, buf_size, ret_size);
    }
    if (package == CLOCK_SYNC) {
        return encode_clock_sync(name, fields, buf, buf_size, ret_size);
    }
    if (package == FRAGMENTATION) {
        return encode_fragmentation(name, fields, buf, buf_size, ret_size);
    }
    return encode_multicast_setup(name, fields, buf, buf_size, ret_size);
}

/*
 * Vectors that exercise bits with values no device accepts; the encoder refuses them: FragSize 255,
 * and a class B session that does not start with a beacon.
 */
static bool is_refused(const cJSON *vector)
{
    static const char *const refused[] = {"02350102ff2c8101020304", "0503010204084828768405"};
    const cJSON *hex = cJSON_GetObjectItem(vector, "hex");

    for (size_t i = 0; hex != NULL && i < COUNT(refused); i++) {
        if (is_named(hex->valuestring, refused[i])) {
            return true;
        }
    }
    return false;
}

/* Uplinks */

static void assert_version(const cJSON *f, const struct package_version_ans *ans)
{
    assert_int_equal(ans->identifier, vectors_u8(f, "package_identifier"));
    assert_int_equal(ans->version, vectors_u8(f, "package_version"));
}

static void decode_clock_sync(const char *name, const cJSON *f, struct reader *r)
{
    struct clock_sync_uplink up;

    assert_int_equal(clock_sync_uplink_decode(r, &up), ERR_OK);
    switch (up.kind) {
    case CLOCK_SYNC_VERSION_ANS:
        assert_string_equal(name, "PackageVersionAns");
        assert_version(f, &up.u.version);
        break;
    case CLOCK_SYNC_APP_TIME_REQ:
        assert_string_equal(name, "AppTimeReq");
        assert_int_equal(up.u.app_time.device_time_s, vectors_u32(f, "device_time"));
        assert_int_equal(up.u.app_time.token, vectors_u8(f, "token_req"));
        assert_int_equal(up.u.app_time.ans_required, vectors_flag(f, "ans_required"));
        break;
    case CLOCK_SYNC_PERIODICITY_ANS:
        assert_string_equal(name, "DeviceAppTimePeriodicityAns");
        assert_int_equal(up.u.periodicity.not_supported, vectors_flag(f, "not_supported"));
        assert_int_equal(up.u.periodicity.device_time_s, vectors_u32(f, "time"));
        break;
    }
}

static void decode_fragmentation(const char *name, const cJSON *f, struct reader *r)
{
    struct fragmentation_ans ans;

    assert_int_equal(fragmentation_ans_decode_v1(r, &ans), ERR_OK);
    switch (ans.kind) {
    case FRAGMENTATION_VERSION_ANS:
        assert_string_equal(name, "PackageVersionAns");
        assert_version(f, &ans.u.version);
        break;
    case FRAGMENTATION_SESSION_SETUP_ANS: {
        const struct frag_session_setup_ans *a = &ans.u.session_setup;
        assert_string_equal(name, "FragSessionSetupAns");
        assert_int_equal(a->frag_index, vectors_u8(f, "frag_index"));
        assert_int_equal(a->wrong_descriptor, vectors_flag(f, "wrong_descriptor"));
        assert_int_equal(a->frag_index_unsupported, vectors_flag(f, "frag_index_unsupported"));
        assert_int_equal(a->not_enough_memory, vectors_flag(f, "not_enough_memory"));
        assert_int_equal(a->encoding_unsupported, vectors_flag(f, "encoding_unsupported"));
        break;
    }
    case FRAGMENTATION_SESSION_STATUS_ANS: {
        const struct frag_session_status_ans *a = &ans.u.session_status;
        assert_string_equal(name, "FragSessionStatusAns");
        assert_int_equal(a->frag_index, vectors_u8(f, "frag_index"));
        assert_int_equal(a->received_count, vectors_u32(f, "nb_frag_received"));
        assert_int_equal(a->missing_count, vectors_u8(f, "missing_frag"));
        assert_int_equal(a->not_enough_matrix_memory, vectors_flag(f, "not_enough_matrix_memory"));
        break;
    }
    case FRAGMENTATION_SESSION_DELETE_ANS:
        assert_string_equal(name, "FragSessionDeleteAns");
        assert_int_equal(ans.u.session_delete.frag_index, vectors_u8(f, "frag_index"));
        assert_int_equal(ans.u.session_delete.session_does_not_exist,
                         vectors_flag(f, "session_does_not_exist"));
        break;
    }
}

static void assert_group_status(const cJSON *f, const struct mc_group_status_ans *ans)
{
    const cJSON *group;
    size_t i = 0;

    assert_int_equal(ans->total_group_count, vectors_u8(f, "nb_total_groups"));
    assert_int_equal(ans->ans_group_mask, vectors_u8(f, "ans_group_mask"));
    cJSON_ArrayForEach(group, vectors_at(f, "groups"))
    {
        assert_true(i < ans->group_count);
        assert_int_equal(ans->groups[i].mc_group_id, vectors_u8(group, "mc_group_id"));
        assert_int_equal(ans->groups[i].mc_addr, vectors_dev_addr(group, "mc_addr"));
        i++;
    }
    assert_int_equal(i, ans->group_count);
}

static void assert_session(const cJSON *f, const struct mc_session_ans *ans)
{
    bool has_time = cJSON_GetObjectItem(f, "time_to_start") != NULL;

    assert_int_equal(ans->mc_group_id, vectors_u8(f, "mc_group_id"));
    assert_int_equal(ans->start_missed, vectors_flag(f, "start_missed"));
    assert_int_equal(ans->mc_group_undefined, vectors_flag(f, "mc_group_undefined"));
    assert_int_equal(ans->freq_error, vectors_flag(f, "freq_error"));
    assert_int_equal(ans->dr_error, vectors_flag(f, "dr_error"));
    assert_int_equal(ans->has_time_to_start, has_time);
    if (has_time) {
        assert_int_equal(ans->time_to_start_s, vectors_u32(f, "time_to_start"));
    }
}

static void decode_multicast_setup(const char *name, const cJSON *f, struct reader *r)
{
    struct multicast_setup_ans ans;

    assert_int_equal(multicast_setup_ans_decode(r, &ans), ERR_OK);
    switch (ans.kind) {
    case MULTICAST_SETUP_VERSION_ANS:
        assert_string_equal(name, "PackageVersionAns");
        assert_version(f, &ans.u.version);
        break;
    case MULTICAST_SETUP_GROUP_STATUS_ANS:
        assert_string_equal(name, "McGroupStatusAns");
        assert_group_status(f, &ans.u.group_status);
        break;
    case MULTICAST_SETUP_GROUP_SETUP_ANS:
        assert_string_equal(name, "McGroupSetupAns");
        assert_int_equal(ans.u.group_setup.mc_group_id, vectors_u8(f, "mc_group_id"));
        assert_int_equal(ans.u.group_setup.id_error, vectors_flag(f, "id_error"));
        break;
    case MULTICAST_SETUP_GROUP_DELETE_ANS:
        assert_string_equal(name, "McGroupDeleteAns");
        assert_int_equal(ans.u.group_delete.mc_group_id, vectors_u8(f, "mc_group_id"));
        assert_int_equal(ans.u.group_delete.mc_group_undefined,
                         vectors_flag(f, "mc_group_undefined"));
        break;
    case MULTICAST_SETUP_CLASS_C_SESSION_ANS:
        assert_string_equal(name, "McClassCSessionAns");
        assert_session(f, &ans.u.session);
        break;
    case MULTICAST_SETUP_CLASS_B_SESSION_ANS:
        assert_string_equal(name, "McClassBSessionAns");
        assert_session(f, &ans.u.session);
        break;
    }
}

static void decode(enum package package, const cJSON *command, struct reader *r)
{
    const char *name = vectors_text(command, "name");
    const cJSON *fields = vectors_at(command, "fields");

    if (package == CLOCK_SYNC) {
        decode_clock_sync(name, fields, r);
    } else if (package == FRAGMENTATION) {
        decode_fragmentation(name, fields, r);
    } else {
        decode_multicast_setup(name, fields, r);
    }
}

/* Takes commands off `payload` until one cannot be; returns why. */
static enum err decode_to_the_end(enum package package, const uint8_t *payload, size_t size)
{
    struct clock_sync_uplink up;
    struct fragmentation_ans fragmentation;
    struct multicast_setup_ans multicast;
    struct reader r;
    enum err err;

    reader_init(&r, payload, size);
    do {
        if (package == CLOCK_SYNC) {
            err = clock_sync_uplink_decode(&r, &up);
        } else if (package == FRAGMENTATION) {
            err = fragmentation_ans_decode_v1(&r, &fragmentation);
        } else {
            err = multicast_setup_ans_decode(&r, &multicast);
        }
    } while (err == ERR_OK);
    return err;
}

/* The payload in a buffer of its exact size. Free it. */
static uint8_t *payload_of(const cJSON *vector, size_t *ret_size)
{
    uint8_t octets[VECTOR_SIZE_MAX];

    *ret_size = vectors_octets(vector, "hex", octets, sizeof(octets));
    uint8_t *payload = malloc(*ret_size);
    assert_non_null(payload);
    memcpy(payload, octets, *ret_size);
    return payload;
}

/* What was done with the vectors of a section, by package and version. */
struct tally {
    int used[PACKAGE_COUNT][3];
    int left[PACKAGE_COUNT][3];
};

static void tally_print(const struct tally *tally, const char *section)
{
    for (unsigned p = 0; p < PACKAGE_COUNT; p++) {
        for (unsigned v = 1; v <= 2; v++) {
            if (tally->used[p][v] + tally->left[p][v] > 0) {
                print_message("%s: %s version %u: %d used, %d left\n", section, package_names[p], v,
                              tally->used[p][v], tally->left[p][v]);
            }
        }
    }
}

typedef void vector_fn(enum package package, const cJSON *vector);

/* Runs `use` on each vector there is code for, and checks how many these are: CLOCK_SYNC,
 * FRAGMENTATION, ... */
static void run_section(const char *section, vector_fn *use, const int want_used[3])
{
    cJSON *root = vectors_load();
    struct tally tally = {0};
    const cJSON *vector;

    cJSON_ArrayForEach(vector, vectors_at(root, section))
    {
        enum package package = package_of(vector);
        uint32_t version = vectors_u32(vector, "version");

        assert_in_range(version, 1, 2);
        if (has_code(package, version)) {
            use(package, vector);
            tally.used[package][version]++;
        } else {
            tally.left[package][version]++;
        }
    }
    tally_print(&tally, section);
    for (unsigned p = 0; p < 3; p++) {
        assert_int_equal(tally.used[p][1], want_used[p]);
        assert_int_equal(tally.left[p][1], 0);
        assert_int_equal(tally.used[p][2], 0);
    }
    cJSON_Delete(root);
}

static int refused_count;

static void use_command(enum package package, const cJSON *vector)
{
    size_t size;
    uint8_t *payload = payload_of(vector, &size);

    if (!is_downlink(vector)) {
        struct reader r;

        reader_init(&r, payload, size);
        decode(package, vector, &r);
        assert_int_equal(reader_left(&r), 0);
    } else {
        uint8_t buf[VECTOR_SIZE_MAX];
        size_t encoded = 0;
        enum err err = encode(package, vector, buf, sizeof(buf), &encoded);

        if (is_refused(vector)) {
            assert_int_equal(err, ERR_RANGE);
            refused_count++;
        } else {
            assert_int_equal(err, ERR_OK);
            assert_int_equal(encoded, size);
            assert_memory_equal(buf, payload, size);
        }
    }
    free(payload);
}

static void every_command_is_encoded_or_decoded(void **state)
{
    (void)state;
    refused_count = 0;
    run_section("commands", use_command, (const int[]){22, 29, 37});
    print_message("commands: %d of the used ones are refused, as they must\n", refused_count);
    assert_int_equal(refused_count, 2);
}

static void use_message(enum package package, const cJSON *vector)
{
    size_t size;
    uint8_t *payload = payload_of(vector, &size);
    const cJSON *command;

    if (is_downlink(vector)) {
        uint8_t buf[VECTOR_SIZE_MAX];
        size_t offset = 0;

        cJSON_ArrayForEach(command, vectors_at(vector, "commands"))
        {
            size_t encoded = 0;
            assert_int_equal(encode(package, command, buf + offset, sizeof(buf) - offset, &encoded),
                             ERR_OK);
            offset += encoded;
        }
        assert_int_equal(offset, size);
        assert_memory_equal(buf, payload, size);
    } else {
        struct reader r;

        reader_init(&r, payload, size);
        cJSON_ArrayForEach(command, vectors_at(vector, "commands"))
        {
            decode(package, command, &r);
        }
        assert_int_equal(reader_left(&r), 0);
    }
    free(payload);
}

static void every_message_is_a_sequence_of_commands(void **state)
{
    (void)state;
    run_section("messages", use_message, (const int[]){1, 2, 4});
}

/* The shortest downlink with this CID; a truncated one is something no encoder writes. */
static size_t downlink_size_min(enum package package, uint8_t cid)
{
    static const size_t sizes[3][9] = {
        [CLOCK_SYNC] = {1, 6, 2, 2},
        [FRAGMENTATION] = {1, 2, 11, 2, [8] = 4},
        [MULTICAST_SETUP] = {1, 2, 30, 2, 11, 11},
    };

    assert_true(cid < 9);
    return sizes[package][cid];
}

static void use_malformed(enum package package, const cJSON *vector)
{
    size_t size;
    uint8_t *payload = payload_of(vector, &size);

    assert_string_equal(vectors_text(vector, "expect"), "error");
    if (is_downlink(vector)) {
        assert_true(size < downlink_size_min(package, payload[0]));
    } else {
        enum err err = decode_to_the_end(package, payload, size);
        assert_int_equal(err, strstr(vectors_text(vector, "reason"), "unknown CID") != NULL
                                  ? ERR_UNKNOWN
                                  : ERR_SHORT);
    }
    free(payload);
}

static void every_malformed_payload_is_an_error(void **state)
{
    (void)state;
    run_section("malformed", use_malformed, (const int[]){6, 9, 9});
}

static void every_status_answer_of_a_real_device_is_decoded(void **state)
{
    (void)state;
    cJSON *root = vectors_load();
    const cJSON *vector;
    int used = 0, left = 0;

    cJSON_ArrayForEach(vector, vectors_at(root, "status_answers_of_real_devices"))
    {
        struct fragmentation_ans ans;
        struct reader r;
        size_t size;

        if (vectors_u32(vector, "version") != 1) {
            left++;
            continue;
        }
        uint8_t *payload = payload_of(vector, &size);
        reader_init(&r, payload, size);
        assert_int_equal(fragmentation_ans_decode_v1(&r, &ans), ERR_OK);
        assert_int_equal(ans.kind, FRAGMENTATION_SESSION_STATUS_ANS);
        assert_int_equal(ans.u.session_status.frag_index, vectors_u8(vector, "frag_index"));
        assert_int_equal(reader_left(&r), 0);
        /* The one rule that holds for all of them: less than NbFrag received is not complete. */
        if (ans.u.session_status.received_count < vectors_u32(vector, "nb_frag")) {
            assert_false(vectors_flag(vector, "really_complete"));
        }
        free(payload);
        used++;
    }
    print_message("status_answers_of_real_devices: %d used, %d of version 2 left\n", used, left);
    assert_int_equal(used, 14);
    cJSON_Delete(root);
}

static void every_section_of_the_file_belongs_to_somebody(void **state)
{
    (void)state;
    static const char *const sections[] = {
        /* here */
        "commands",
        "messages",
        "malformed",
        "status_answers_of_real_devices",
        /* keys_test, gps_time_test, clock_sync_test */
        "key_derivation",
        "key_chains",
        "data_block_mic",
        "time",
        /* the erasure code */
        "prbs23",
        "matrix_rows",
        "matrix_rows_absolute_seed_DISPUTED",
        "encodes",
        "decodes",
        /* TS007, no code yet */
        "multi_package_payloads",
        /* no vectors */
        "about",
        "conventions",
    };
    cJSON *root = vectors_load();
    const cJSON *section;
    size_t seen = 0;

    cJSON_ArrayForEach(section, root)
    {
        bool is_known = false;

        for (size_t i = 0; i < COUNT(sections); i++) {
            is_known = is_known || is_named(section->string, sections[i]);
        }
        if (!is_known) {
            fail_msg("no test uses the section \"%s\"", section->string);
        }
        seen++;
    }
    assert_int_equal(seen, COUNT(sections));
    cJSON_Delete(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_is_encoded_or_decoded),
        cmocka_unit_test(every_message_is_a_sequence_of_commands),
        cmocka_unit_test(every_malformed_payload_is_an_error),
        cmocka_unit_test(every_status_answer_of_a_real_device_is_decoded),
        cmocka_unit_test(every_section_of_the_file_belongs_to_somebody),
    };
    return cmocka_run_group_tests_name("lorawan vectors", tests, NULL, NULL);
}
