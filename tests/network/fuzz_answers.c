/*
 * fuzz_answers.c - whatever messages the network server answers with: every call of the driver
 * reports once, with an outcome and an answer that can be used.
 *
 * grpc.h is played here: the input is a call and the answers to all that it asks. An answer is a
 * status, a length and as many octets of message.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"
#include "lib/fuzz_input.h"

#define ANSWERS_MAX 64 /* then the connection breaks */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* grpc.h */

struct grpc {
    grpc_done_fn *done; /* of the call that is under way; NULL: none */
    void *arg;
};

void grpc_call(struct grpc *grpc, const char *path, const uint8_t *message, size_t size,
               grpc_done_fn *done, void *arg)
{
    assert(path[0] == '/' && (message != NULL || size == 0));
    assert(grpc->done == NULL); /* one after another */
    grpc->done = done;
    grpc->arg = arg;
}

static void answer(struct grpc *grpc, struct fuzz_input *in, bool is_broken)
{
    static const char *const texts[] = {"", "duplicate key value violates unique constraint",
                                        "an error"};
    grpc_done_fn *done = grpc->done;
    uint8_t head = fuzz_u8(in);
    const char *text = texts[head % 3];
    size_t size = 0;

    grpc->done = NULL;
    if (is_broken || head >= 252) {
        done(grpc->arg, head % 2 == 0 ? GRPC_LOST : GRPC_NOT_SENT, -1, text, NULL, 0);
    } else if (head >= 224) {
        done(grpc->arg, GRPC_ANSWERED, head - 223, text, NULL, 0);
    } else {
        const uint8_t *octets = fuzz_octets(in, fuzz_u16(in), &size);
        uint8_t *message = malloc(size > 0 ? size : 1);
        assert(message != NULL);
        if (size > 0) {
            memcpy(message, octets, size);
        }
        done(grpc->arg, GRPC_ANSWERED, GRPC_OK, "", message, size);
        free(message);
    }
}

/* what the daemon gets */

static void check_items(const struct network_answer *answer)
{
    for (size_t i = 0; i < answer->item_count; i++) {
        unsigned sum = 0;
        for (size_t k = 0; k < answer->items[i].size; k++) {
            sum += answer->items[i].data[k]; /* can be read */
        }
        assert(sum <= 255 * answer->items[i].size);
    }
}

static void check_profile(const struct network_profile *profile)
{
    assert(!profile->is_region_known || (unsigned)profile->region < REGION_COUNT);
    assert(profile->lorawan_version == LORAWAN_1_0 || profile->lorawan_version == LORAWAN_1_1);
    assert(profile->clock_sync_port >= 1 && profile->clock_sync_port <= 223);
    assert(profile->fragmentation_port >= 1 && profile->fragmentation_port <= 223);
    assert(profile->multicast_setup_port >= 1 && profile->multicast_setup_port <= 223);
}

struct expected {
    unsigned call, done_count;
};

enum {
    CALL_CREATE_GROUP = 2,
    CALL_READ_PROFILE = 8,
    CALL_READ_ROOT_KEY = 9,
    CALL_RANDOM_ADDRESS = 10,
    CALL_COUNT = 15
};

static void on_done(void *arg, enum network_outcome outcome, const char *text,
                    const struct network_answer *answer)
{
    struct expected *expected = arg;

    expected->done_count++;
    assert(outcome <= NETWORK_UNKNOWN);
    assert(text != NULL && answer != NULL);
    if (outcome != NETWORK_DONE) {
        return;
    }
    check_items(answer);
    for (size_t i = 0; i < answer->eui_count; i++) {
        assert(answer->euis != NULL);
    }
    if (expected->call == CALL_CREATE_GROUP) {
        assert(!uuid_is_zero(&answer->id));
    } else if (expected->call == CALL_READ_PROFILE) {
        check_profile(&answer->profile);
    } else if (expected->call == CALL_READ_ROOT_KEY) {
        assert(answer->key != NULL && !key_is_zero(answer->key));
    } else if (expected->call == CALL_RANDOM_ADDRESS) {
        assert(answer->mc_addr != 0);
    }
}

static void make_call(struct chirpstack *cs, struct expected *expected)
{
    static const struct mc_session_keys keys;
    static const uint8_t frame[] = {1, 2, 3};
    static const uint64_t gateways[] = {1, 2};
    static const char *const tags[] = {"site", "lab"};
    static const struct uuid id = {{1}}, none;
    const struct network_group group = {.name = "fuotad group", .keys = &keys, .data_rate = 3};
    const struct network_filter filter = {.tags = tags, .tag_count = 1};

    switch (expected->call) {
    case 0:
        chirpstack_enqueue(cs, 1, 200, frame, sizeof(frame), 1000, on_done, expected);
        break;
    case 1:
        chirpstack_read_queue(cs, 1, on_done, expected);
        break;
    case CALL_CREATE_GROUP:
        chirpstack_create_group(cs, &group, on_done, expected);
        break;
    case 3:
        chirpstack_set_gateways(cs, &id, gateways, 1, 1, on_done, expected);
        break;
    case 4:
        chirpstack_delete_group(cs, &none, &id, "fuotad group", on_done, expected);
        break;
    case 5:
        chirpstack_enqueue_group(cs, &id, 201, frame, sizeof(frame), 1000, on_done, expected);
        break;
    case 6:
        chirpstack_read_counter(cs, &id, on_done, expected);
        break;
    case 7:
        chirpstack_read_device(cs, 1, on_done, expected);
        break;
    case CALL_READ_PROFILE:
        chirpstack_read_profile(cs, &id, on_done, expected);
        break;
    case CALL_READ_ROOT_KEY:
        chirpstack_read_root_key(cs, 1, LORAWAN_1_0, on_done, expected);
        break;
    case CALL_RANDOM_ADDRESS:
        chirpstack_random_address(cs, 1, on_done, expected);
        break;
    case 11:
        chirpstack_list_devices(cs, &id, &filter, on_done, expected);
        break;
    case 12:
        chirpstack_list_gateways(cs, &id, on_done, expected);
        break;
    case 13:
        chirpstack_list_busy_devices(cs, &id, on_done, expected);
        break;
    default:
        chirpstack_read_group_queue(cs, &id, on_done, expected);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct grpc grpc = {0};
    struct chirpstack cs = {.grpc = &grpc};
    struct expected expected = {.call = fuzz_u8(&in) % CALL_COUNT};

    make_call(&cs, &expected);
    for (unsigned answers = 0; grpc.done != NULL; answers++) {
        assert(expected.done_count == 0);
        answer(&grpc, &in, answers >= ANSWERS_MAX);
    }
    assert(expected.done_count == 1);
    return 0;
}
