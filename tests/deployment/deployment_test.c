/* deployment_test.c - what the simulated world does not show: bounds, every event in every state,
 * bytes from the air. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "deployment/command.h"
#include "deployment/deployment.h"
#include "deployment/status.h"
#include "lib/params.h"

#define DEVICE_COUNT 3
#define NOW_MS       INT64_C(1800000000000)

static struct deployment_params good_params(void)
{
    return test_params(DEVICE_COUNT);
}

static void assert_wrong(struct deployment_params p, const char *field, enum err err)
{
    const char *named = "";

    assert_int_equal(deployment_params_check(&p, &named), err);
    assert_string_equal(named, field);
}

#define WRONG(member, value)                                                                       \
    do {                                                                                           \
        struct deployment_params p_ = good_params();                                               \
        p_.member = value;                                                                         \
        assert_wrong(p_, #member, ERR_RANGE);                                                      \
    } while (0)

static void parameters_out_of_range_are_named(void **state)
{
    (void)state;
    struct deployment_params p = good_params();
    const char *field = "";

    assert_int_equal(deployment_params_check(&p, &field), ERR_OK);
    WRONG(device_count, 0);
    WRONG(device_count, DEPLOYMENT_DEVICES_MAX + 1);
    WRONG(fragment_count, 0);
    WRONG(fragment_count, 16384);
    WRONG(fragment_size, 0);
    WRONG(padding_size, 50);
    WRONG(frag_index, 4);
    WRONG(block_ack_delay, 8);
    WRONG(mc_group_id, 4);
    WRONG(mc_addr, 0);
    WRONG(data_rate, 16);
    WRONG(time_out, 16);
    WRONG(port_fragmentation, 0);
    WRONG(port_clock_sync, 224);
    WRONG(margin_ms, 0);
    WRONG(duty_cycle, 0.0);
    WRONG(duty_cycle, 1.5);
    WRONG(gateways_max, 0);
    WRONG(gateway_count, 17);
    WRONG(attempts_max, 0);
    WRONG(quorum_percent, 101);
    WRONG(frequency_hz, 915000000);
    p.coded_count = 16383;
    assert_wrong(p, "coded_count", ERR_LIMIT);
    p = good_params();
    p.time_out = 5;
    assert_wrong(p, "time_out", ERR_LIMIT);
}

static void the_gap_follows_gateways_duty_cycle_and_the_operator(void **state)
{
    (void)state;
    struct deployment_params p = good_params();

    assert_int_equal(deployment_gap_ms(&p, 1), 5000);
    assert_int_equal(deployment_gap_ms(&p, 3), 15000);
    p.frame_airtime_ms = 700; /* 7 s at 10 % */
    assert_int_equal(deployment_gap_ms(&p, 1), 7001);
    assert_int_equal(deployment_gap_ms(&p, 2), 10000);
    p.min_gap_ms = 60000;
    assert_int_equal(deployment_gap_ms(&p, 2), 60000);
}

static void block_ack_delay_grows_with_the_group(void **state)
{
    (void)state;
    assert_int_equal(deployment_block_ack_delay(1, 400), 0);
    assert_int_equal(deployment_block_ack_delay(20, 400), 0); /* 16 s */
    assert_int_equal(deployment_block_ack_delay(21, 400), 1); /* 16.8 s */
    assert_int_equal(deployment_block_ack_delay(1000, 400), 6);
    assert_int_equal(deployment_block_ack_delay(100000, 400), 7);
}

static void status_answers_are_read_by_the_rules_for_real_stacks(void **state)
{
    (void)state;
    struct {
        uint16_t received;
        uint8_t missing;
        bool no_memory, is_frozen;
        enum status_verdict verdict;
    } cases[] = {
        {99, 0, false, false,
         STATUS_INCOMPLETE}, /* LoRaMac-node right after the set-up says 0/0, too */
        {0, 0, false, true, STATUS_INCOMPLETE},
        {100, 1, false, false, STATUS_AMBIGUOUS}, /* LBM without a loss, or one missing */
        {100, 1, false, true, STATUS_COMPLETE},
        {105, 3, false, true, STATUS_COMPLETE}, /* LoRaMac-node with repaired losses */
        {105, 3, false, false, STATUS_AMBIGUOUS},
        {103, 0, false, false, STATUS_AMBIGUOUS}, /* Zephyr may be too early */
        {139, 0, false, false, STATUS_AMBIGUOUS},
        {140, 0, false, false, STATUS_COMPLETE},
        {108, 0, true, true, STATUS_NO_MEMORY},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct frag_session_status_ans ans = {
            .received_count = cases[i].received,
            .missing_count = cases[i].missing,
            .not_enough_matrix_memory = cases[i].no_memory,
        };
        struct status_facts facts = {
            .fragment_count = 100, .sent = 160, .is_frozen = cases[i].is_frozen};
        assert_int_equal(status_read(&ans, &facts), cases[i].verdict);
    }
}

/* A deployment as it might have been stored in the given state and stage. */
static struct deployment *restored(void *memory, enum transmission_state state,
                                   enum device_stage stage, enum device_call call)
{
    struct deployment_params p = good_params();
    struct transmission t = {
        .state = state,
        .group_id = {{1}},
        .started_ms = NOW_MS - 1000,
        .session_time_ms = NOW_MS + 600000,
        .deadline_ms = NOW_MS,
        .next_number = 1,
        .last_number = 120,
        .repeat_count = 1,
        .time_out = 15,
        .resume_state = TRANSMISSION_TRANSMIT,
        .has_group = state > TRANSMISSION_CREATE_GROUP && state < TRANSMISSION_DONE,
    };
    struct device devices[DEVICE_COUNT] = {0};
    struct deployment *d = NULL;

    if (state >= TRANSMISSION_TRANSMIT) {
        t.session_time_ms = NOW_MS - 60000;
        t.has_gateways = true;
    }
    for (unsigned i = 0; i < DEVICE_COUNT; i++) {
        devices[i].dev_eui = i + 1;
        devices[i].uplink_interval_s = 60;
        devices[i].stage = (uint8_t)stage;
        bool is_idle = device_stage_is_terminal(stage) || stage == DEVICE_SET_ASIDE;
        devices[i].reason =
            stage == DEVICE_FAILED || stage == DEVICE_SET_ASIDE ? REASON_ABORTED : REASON_NONE;
        devices[i].call = is_idle ? CALL_NONE : (uint8_t)call;
        devices[i].command = COMMAND_GROUP;
        devices[i].flags = DEVICE_HAS_GROUP | DEVICE_HAS_VERSION;
        devices[i].deadline_ms = is_idle ? DEPLOYMENT_NEVER : NOW_MS;
    }
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_OK);
    return d;
}

static bool is_possible(enum transmission_state state, enum device_stage stage)
{
    bool is_over = state == TRANSMISSION_RELEASE || state == TRANSMISSION_DONE;
    bool is_session = state == TRANSMISSION_TRANSMIT || state == TRANSMISSION_STATUS ||
                      state == TRANSMISSION_TAKE_OVER;

    return device_stage_is_terminal(stage)
               ? is_over
               : !is_over &&
                     (!is_session || stage == DEVICE_RECEIVING || stage == DEVICE_SET_ASIDE);
}

static const struct deployment_action *only_action(const struct deployment_actions *actions,
                                                   enum deployment_action_kind kind)
{
    assert_int_equal(actions->count, 1);
    assert_int_equal(actions->items[0].kind, kind);
    return &actions->items[0];
}

/* What the new owner of a transmission does that another daemon had in the middle of its frames. */
static void a_transmission_is_taken_over_with_a_group_of_its_own(void **state)
{
    (void)state;
    void *memory = malloc(deployment_size(DEVICE_COUNT));
    struct deployment_params p = good_params();
    struct uuid old = {{1}}, fresh = {{2}};
    struct transmission t = {
        .state = TRANSMISSION_TRANSMIT,
        .group_id = old,
        .is_taken_over = true,
        .started_ms = NOW_MS - 1000,
        .session_time_ms = NOW_MS - 60000,
        .deadline_ms = NOW_MS,
        .next_number = 20,
        .last_number = 120,
        .repeat_count = 1,
        .time_out = 15,
        .f_cnt = 19,
        .frame_call = FRAME_CALL_OPEN, /* of fragment 20 */
        .has_group = true,
        .has_gateways = true,
        .gateway_count = 1,
        .gateways = {{.id = 7, .is_chosen = true}},
    };
    struct device devices[DEVICE_COUNT] = {0};
    struct deployment *d = NULL;
    struct deployment_actions actions;
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_RESTORED, .now_ms = NOW_MS};
    const uint16_t waiting[] = {19, 20, 3};

    assert_non_null(memory);
    for (unsigned i = 0; i < DEVICE_COUNT; i++) {
        devices[i] = (struct device){
            .dev_eui = i + 1, .stage = DEVICE_RECEIVING, .deadline_ms = DEPLOYMENT_NEVER};
    }
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_OK);
    const struct transmission *now = deployment_get_transmission(d);

    deployment_step(d, &event, &actions);
    assert_int_equal(now->state, TRANSMISSION_TAKE_OVER);
    only_action(&actions, DEPLOYMENT_ACTION_CREATE_GROUP);
    assert_int_equal(now->f_cnt, 19 + 16);
    assert_int_equal(now->group_number, 1);
    /* A call of the old owner's life reports here no more; one that fails is repeated. */
    event = (struct deployment_event){.kind = DEPLOYMENT_EVENT_GROUP_FAILED, .now_ms = NOW_MS};
    deployment_step(d, &event, &actions);
    assert_int_equal(actions.count, 0);
    event = (struct deployment_event){.kind = DEPLOYMENT_EVENT_TIMER, .now_ms = NOW_MS + 5000};
    deployment_step(d, &event, &actions);
    only_action(&actions, DEPLOYMENT_ACTION_CREATE_GROUP);
    event.kind = DEPLOYMENT_EVENT_GROUP_CREATED;
    event.u.group_id = fresh;
    deployment_step(d, &event, &actions);
    only_action(&actions, DEPLOYMENT_ACTION_SET_GATEWAYS);
    event.kind = DEPLOYMENT_EVENT_GATEWAYS_SET;
    deployment_step(d, &event, &actions);
    only_action(&actions, DEPLOYMENT_ACTION_READ_OLD_QUEUE);
    event.kind = DEPLOYMENT_EVENT_OLD_QUEUE;
    event.u.queued.numbers = waiting;
    event.u.queued.count = 3;
    event.u.queued.has_status = false;
    deployment_step(d, &event, &actions);
    only_action(&actions, DEPLOYMENT_ACTION_DELETE_OLD_GROUP);
    assert_memory_equal(&now->old_group_id, &old, sizeof(old));
    assert_memory_equal(&now->group_id, &fresh, sizeof(fresh));
    event.kind = DEPLOYMENT_EVENT_GROUP_DELETED;
    deployment_step(d, &event, &actions);
    assert_int_equal(now->state, TRANSMISSION_TRANSMIT);
    assert_false(now->is_taken_over);
    /* 19 and 20 waited and go out anew, in order; 3 is long past and waits in vain. */
    event.kind = DEPLOYMENT_EVENT_TIMER;
    deployment_step(d, &event, &actions);
    assert_int_equal(actions.count, 0); /* the old group's last frame may just have been on air */
    event.now_ms = deployment_deadline(d);
    deployment_step(d, &event, &actions);
    const struct deployment_action *frame = only_action(&actions, DEPLOYMENT_ACTION_FRAME);
    assert_int_equal(frame->number, 19);
    assert_int_equal(frame->f_cnt, 19 + 16);
    free(memory);
}

/* Two devices are ready, and the one gateway on the group has heard the first only. */
static void who_is_not_covered_is_told(void **state)
{
    struct deployment_params p = test_params(2);
    void *memory = malloc(deployment_size(2));
    struct deployment_note notes[8];
    struct deployment_actions actions;
    struct deployment *d;
    struct device devices[2];
    struct transmission t = {
        .state = TRANSMISSION_START_SESSION,
        .group_id = {{1}},
        .has_group = true,
        .has_gateways = true,
        .gateway_count = 1,
        .gateways = {{.id = 1, .is_chosen = true}},
        .session_time_ms = 1000000,
        .time_out = 15,
        .session_number = 1,
        .round = 1,
        .repeat_count = 1,
        .deadline_ms = 1008000,
        .next_number = 1,
        .last_number = 120,
    };
    unsigned told = 0;

    (void)state;
    assert_non_null(memory);
    for (uint32_t i = 0; i < 2; i++) {
        devices[i] = (struct device){.dev_eui = i + 1,
                                     .deadline_ms = DEPLOYMENT_NEVER,
                                     .stage = DEVICE_RECEIVING,
                                     .gateways = i == 0};
    }
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_OK);
    deployment_step(
        d, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_TIMER, .now_ms = 1008000}, &actions);
    size_t count = deployment_take_notes(d, notes, 8);
    for (size_t i = 0; i < count; i++) {
        if (notes[i].kind == NOTE_NOT_COVERED) {
            assert_int_equal(notes[i].device_index, 1);
            told++;
        }
    }
    assert_int_equal(told, 1);
    free(memory);
}

struct outcome {
    enum device_stage stage;
    unsigned last_number; /* what is planned */
};

/* The group was asked after fragment `asked`, and the last of the devices answers so. The caller
 * frees what it gets. */
static struct deployment *answer_of_last(const struct deployment_params *p, struct device *devices,
                                         uint16_t asked, const uint8_t answer[5])
{
    uint32_t last = p->device_count - 1;
    void *memory = malloc(deployment_size(p->device_count));
    struct deployment_actions actions;
    struct deployment *d = NULL;
    struct transmission t = {
        .state = TRANSMISSION_STATUS,
        .group_id = {{1}},
        .has_group = true,
        .has_gateways = true,
        .has_status_request = true,
        .status_until_ms = 2000000,
        .session_time_ms = 1000,
        .time_out = 15,
        .session_number = 1,
        .round = 1,
        .repeat_count = 1,
        .deadline_ms = 2000000,
        .next_number = (uint16_t)(asked + 1),
        .last_number = asked,
        .asked_number = asked,
    };
    struct deployment_event event = {
        .kind = DEPLOYMENT_EVENT_UPLINK,
        .now_ms = 1990000,
        .device_index = last,
        .u.uplink = {.received_ms = 1990000, .f_port = 201, .data = answer, .data_size = 5},
    };

    assert_non_null(memory);
    for (uint32_t i = 0; i <= last; i++) {
        devices[i].dev_eui = i + 1;
        devices[i].deadline_ms = DEPLOYMENT_NEVER;
        devices[i].stage = DEVICE_RECEIVING;
    }
    assert_int_equal(deployment_restore(memory, p, &t, devices, &d), ERR_OK);
    deployment_step(d, &event, &actions);
    assert_ptr_equal(d, memory);
    return d;
}

static struct outcome answered(const struct deployment_params *p, struct device *devices,
                               uint16_t asked, const uint8_t answer[5])
{
    struct deployment *d = answer_of_last(p, devices, asked, answer);
    struct outcome outcome = {
        (enum device_stage)deployment_get_device(d, p->device_count - 1)->stage,
        deployment_get_transmission(d)->last_number};

    free(d);
    return outcome;
}

/* The last of 60 devices, heard for the first time, says that none is missing: the others have
 * shown how such devices count. */
static enum device_stage stage_in_company(bool own_evidence)
{
    static const uint8_t answer[] = {0x01, 0x6E, 0x00, 0x00, 0x00}; /* 110 received, none missing */
    struct deployment_params p = test_params(60);
    struct device devices[60] = {0};

    for (uint32_t i = 0; i < 59; i++) {
        devices[i].flags = DEVICE_SHOWS_COUNT;
    }
    p.own_evidence = own_evidence;
    return answered(&p, devices, 120, answer).stage;
}

static void company_is_believed_unless_only_own_evidence_is_wanted(void **state)
{
    (void)state;
    assert_int_equal(stage_in_company(false), DEVICE_DELIVERED);
    assert_int_equal(stage_in_company(true), DEVICE_RECEIVING);
}

/* 110 received, ten missing, after 112 fragments. */
static struct device loramac_node(uint16_t there_since, uint16_t owed_at)
{
    return (struct device){
        .flags = (uint16_t)(DEVICE_HAS_STATUS | (owed_at != OWES_NOTHING ? DEVICE_OWES : 0)),
        .received_count = 110,
        .missing_count = 10,
        .counted_at = 112,
        .same_since = 112,
        .there_since = there_since,
        .owed_at = owed_at,
        .gateways = 1,
    };
}

/* It says the same once more after fragment 140. */
static enum device_stage stage_of_same_count(uint16_t there_since, uint16_t owed_at)
{
    static const uint8_t answer[] = {0x01, 0x6E, 0x00, 0x0A, 0x00};
    struct deployment_params p = test_params(1);
    struct device device = loramac_node(there_since, owed_at);

    return answered(&p, &device, 140, answer).stage;
}

static void what_was_sent_while_it_may_have_been_away_proves_nothing(void **state)
{
    (void)state;
    assert_int_equal(stage_of_same_count(112, OWES_NOTHING), DEVICE_DELIVERED);
    assert_int_equal(stage_of_same_count(138, OWES_NOTHING), DEVICE_RECEIVING);
    /* silent meanwhile, while others answered: the answer may be to that request */
    assert_int_equal(stage_of_same_count(112, 130), DEVICE_DELIVERED);
    assert_int_equal(stage_of_same_count(112, 113), DEVICE_RECEIVING);
    assert_int_equal(stage_of_same_count(112, 0), DEVICE_RECEIVING);
}

/* The first device is silent to a request that the other one answers. */
static uint16_t owed_after_silence(uint16_t gateways_of_other)
{
    static const uint8_t answer[] = {0x01, 0x6E, 0x00, 0x00, 0x00};
    const struct deployment_params p = test_params(2);
    struct device devices[] = {
        loramac_node(112, OWES_NOTHING),
        {.flags = DEVICE_COUNTS_TRULY, .gateways = gateways_of_other},
    };
    struct deployment *d = answer_of_last(&p, devices, 140, answer);
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_TIMER, .now_ms = 2000000};
    struct deployment_actions actions;

    assert_int_equal(deployment_get_device(d, 1)->stage, DEVICE_DELIVERED);
    deployment_step(d, &event, &actions);
    assert_int_equal(deployment_get_transmission(d)->round, 2);
    uint16_t owed_at = deployment_get_device(d, 0)->owed_at;
    free(d);
    return owed_at;
}

static void who_is_silent_where_others_answer_was_in_reach(void **state)
{
    (void)state;
    assert_int_equal(owed_after_silence(1), 140);
    assert_int_equal(owed_after_silence(2), 0); /* behind another gateway */
    assert_int_equal(owed_after_silence(3), 0); /* perhaps through the other one */
    assert_int_equal(owed_after_silence(0), 0); /* nobody knows */
}

/* The last of 60 devices, heard for the first time after 160 fragments, says 110 received and ten
 * missing: a LoRaMac-node that is complete, or an LBM that lacks ten rows. */
static void among_loramac_nodes_nobody_counts_down(void **state)
{
    static const uint8_t answer[] = {0x01, 0x6E, 0x00, 0x0A, 0x00};
    const struct deployment_params p = test_params(60);
    struct device devices[60] = {0};

    (void)state;
    for (uint32_t i = 0; i < 59; i++) {
        devices[i].flags = DEVICE_COUNTS_LAST;
    }
    assert_int_equal(answered(&p, devices, 160, answer).last_number, 160);
    memset(devices, 0, sizeof(devices));
    for (uint32_t i = 0; i < 59; i++) {
        devices[i].flags = i < 51 ? DEVICE_COUNTS_LAST : DEVICE_SHOWS_COUNT;
    }
    assert_true(answered(&p, devices, 160, answer).last_number > 160);
}

static void in_large_blocks_none_missing_may_mean_256(void **state)
{
    (void)state;
    const struct frag_session_status_ans ans = {.received_count = 400};

    struct status_facts facts = {.fragment_count = 255, .sent = 500};

    assert_int_equal(status_read(&ans, &facts), STATUS_COMPLETE);
    facts.is_repeated = true; /* repeats are counted, too: 400 may be anything */
    assert_int_equal(status_read(&ans, &facts), STATUS_AMBIGUOUS);
    facts.is_repeated = false;
    facts.fragment_count = 256;
    assert_int_equal(status_read(&ans, &facts), STATUS_AMBIGUOUS);
    facts.company_does = true;
    assert_int_equal(status_read(&ans, &facts), STATUS_COMPLETE);
    facts.sent = 656; /* LBM that lacks 256 is behind by as many */
    assert_int_equal(status_read(&ans, &facts), STATUS_AMBIGUOUS);
    facts.is_frozen = true;
    assert_int_equal(status_read(&ans, &facts), STATUS_COMPLETE);
}

/* Seed 78124: after a take-over that failed another one followed, and the first one's group was
 * forgotten for the second's. */
static void a_failed_take_over_is_not_forgotten_for_the_next(void **state)
{
    (void)state;
    void *memory = malloc(deployment_size(DEVICE_COUNT));
    struct deployment_params p = good_params();
    const struct uuid old = {{1}}, fresh = {{2}};
    struct transmission t = {
        .state = TRANSMISSION_TAKE_OVER,
        .resume_state = TRANSMISSION_STATUS,
        .group_id = fresh,
        .old_group_id = old,
        .is_taken_over = true,
        .started_ms = NOW_MS - 2 * INT64_C(32768000),
        .session_time_ms = NOW_MS - INT64_C(32768000), /* 2^15 s: it is over */
        .deadline_ms = NOW_MS,
        .next_number = 121,
        .last_number = 120,
        .repeat_count = 1,
        .time_out = 15,
        .f_cnt = 150,
        .group_number = 1,
        .has_group = true,
        .has_gateways = true,
        .has_status_request = true,
    };
    struct device devices[DEVICE_COUNT] = {0};
    struct deployment *d = NULL;
    struct deployment_actions actions;
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_RESTORED, .now_ms = NOW_MS};

    assert_non_null(memory);
    for (unsigned i = 0; i < DEVICE_COUNT; i++) {
        devices[i] = (struct device){
            .dev_eui = i + 1, .stage = DEVICE_RECEIVING, .deadline_ms = DEPLOYMENT_NEVER};
    }
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_OK);
    deployment_step(d, &event, &actions);
    only_action(&actions, DEPLOYMENT_ACTION_READ_OLD_QUEUE);
    event.kind = DEPLOYMENT_EVENT_GROUP_FAILED;
    event.u.failure.is_final = false;
    deployment_step(d, &event, &actions);
    t = *deployment_get_transmission(d);
    assert_int_equal(t.state, TRANSMISSION_STATUS);
    assert_true(t.is_unicast_status);
    /* The next owner goes on asking, and both groups are still known. */
    t.is_taken_over = true;
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_OK);
    event = (struct deployment_event){.kind = DEPLOYMENT_EVENT_RESTORED, .now_ms = NOW_MS};
    deployment_step(d, &event, &actions);
    const struct transmission *now = deployment_get_transmission(d);
    assert_int_equal(now->state, TRANSMISSION_STATUS);
    assert_memory_equal(&now->old_group_id, &old, sizeof(old));
    assert_memory_equal(&now->group_id, &fresh, sizeof(fresh));
    event.kind = DEPLOYMENT_EVENT_ABORT;
    deployment_step(d, &event, &actions);
    event.kind = DEPLOYMENT_EVENT_TIMER;
    deployment_step(d, &event, &actions);
    only_action(&actions, DEPLOYMENT_ACTION_DELETE_OLD_GROUP);
    event.kind = DEPLOYMENT_EVENT_GROUP_DELETED;
    deployment_step(d, &event, &actions);
    only_action(&actions, DEPLOYMENT_ACTION_DELETE_GROUP);
    free(memory);
}

static void every_event_is_taken_in_every_state(void **state)
{
    (void)state;
    void *memory = malloc(deployment_size(DEVICE_COUNT));
    unsigned taken = 0;

    assert_non_null(memory);
    for (unsigned s = 0; s < TRANSMISSION_STATE_COUNT; s++) {
        for (unsigned stage = 0; stage < DEVICE_STAGE_COUNT; stage++) {
            for (unsigned kind = 0; kind < DEPLOYMENT_EVENT_COUNT; kind++) {
                for (unsigned call = CALL_NONE; call <= CALL_SENT; call++) {
                    struct deployment_actions actions;
                    struct deployment_event event = {.kind = (enum deployment_event_kind)kind,
                                                     .now_ms = NOW_MS};
                    if (!is_possible((enum transmission_state)s, (enum device_stage)stage)) {
                        continue;
                    }
                    struct deployment *d =
                        restored(memory, (enum transmission_state)s, (enum device_stage)stage,
                                 (enum device_call)call);
                    deployment_step(d, &event, &actions);
                    taken++;
                }
            }
        }
    }
    assert_true(taken > 1000);
    free(memory);
}

static void restoring_refuses_what_was_never_written(void **state)
{
    (void)state;
    struct deployment_params p = good_params();
    struct transmission t = {
        .next_number = 1, .last_number = 120, .repeat_count = 1, .time_out = 15};
    struct device devices[DEVICE_COUNT] = {0};
    void *memory = malloc(deployment_size(DEVICE_COUNT));
    struct deployment *d = NULL;

    assert_non_null(memory);
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_OK);
    t.state = TRANSMISSION_STATE_COUNT;
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_FORMAT);
    t.state = TRANSMISSION_SETUP;
    t.next_number = 0;
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_FORMAT);
    t.next_number = 122;
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_FORMAT);
    t.next_number = 1;
    t.gateway_count = 17;
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_FORMAT);
    t.gateway_count = 0;
    devices[1].stage = DEVICE_STAGE_COUNT;
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_FORMAT);
    devices[1].stage = 0;
    devices[2].call = 9;
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_FORMAT);
    devices[2].call = CALL_UNKNOWN; /* of no command */
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_FORMAT);
    devices[2].call = CALL_NONE;
    devices[2].reason = REASON_ABORTED; /* and did not fail */
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_FORMAT);
    devices[2].stage = DEVICE_FAILED; /* and waits for something */
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_FORMAT);
    devices[2].deadline_ms = DEPLOYMENT_NEVER;
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_OK);
    t.state = TRANSMISSION_TRANSMIT; /* with devices that are not set up */
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_FORMAT);
    t.state = TRANSMISSION_SETUP;
    t.last_number = 16384;
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_FORMAT);
    t.last_number = 120;
    t.session_time_ms = INT64_MAX;
    assert_int_equal(deployment_restore(memory, &p, &t, devices, &d), ERR_FORMAT);
    free(memory);
}

static void bytes_from_the_air_never_break_it(void **state)
{
    (void)state;
    void *memory = malloc(deployment_size(DEVICE_COUNT));
    struct random random;

    assert_non_null(memory);
    random_init(&random, 1);
    for (unsigned run = 0; run < 20000; run++) {
        static const uint8_t ports[] = {200, 201, 202, 1};
        enum transmission_state s =
            (enum transmission_state)random_below(&random, TRANSMISSION_RELEASE);
        struct deployment *d = restored(
            memory, s,
            s >= TRANSMISSION_TRANSMIT ? DEVICE_RECEIVING
                                       : (enum device_stage)random_below(&random, DEVICE_DELIVERED),
            (enum device_call)random_below(&random, 5));
        uint8_t data[20];
        struct deployment_actions actions;
        struct deployment_event event = {.kind = DEPLOYMENT_EVENT_UPLINK, .now_ms = NOW_MS};
        for (size_t i = 0; i < sizeof(data); i++) {
            data[i] = (uint8_t)(random_below(&random, 3) == 0 ? random_below(&random, 6)
                                                              : random_next(&random));
        }
        event.u.uplink.data = data;
        event.u.uplink.data_size = random_below(&random, sizeof(data) + 1);
        event.u.uplink.f_port = ports[random_below(&random, 4)];
        event.u.uplink.received_ms = NOW_MS;
        deployment_step(d, &event, &actions);
    }
    free(memory);
}

static void commands_have_the_bytes_of_the_specifications(void **state)
{
    (void)state;
    void *memory = malloc(deployment_size(DEVICE_COUNT));
    struct deployment *d = restored(memory, TRANSMISSION_SETUP, DEVICE_GROUP, CALL_NONE);
    const uint8_t key[KEY_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    struct command_bytes bytes;

    command_encode(d, COMMAND_FRAGMENTATION, NULL, &bytes);
    assert_int_equal(bytes.f_port, 201);
    /* index 0, group mask 1, NbFrag 100, FragSize 50, control 0, padding 3, descriptor 0 */
    assert_int_equal(bytes.size, 11);
    assert_memory_equal(bytes.data, "\x02\x01\x64\x00\x32\x00\x03\x00\x00\x00\x00", 11);
    command_encode(d, COMMAND_GROUP_SESSION, key, &bytes);
    assert_int_equal(bytes.f_port, 200);
    assert_int_equal(bytes.size, 41);
    assert_memory_equal(bytes.data, "\x02\x00\x01\x00\x00\x00\x01\x02\x03", 9);
    assert_int_equal(bytes.data[30], 0x04);
    assert_int_equal(bytes.data[36], 15); /* TimeOut */
    assert_memory_equal(bytes.data + 37, "\xD2\xAD\x84\x05",
                        4); /* 8695250 in units of 100 Hz, DR5 */
    command_encode(d, COMMAND_STATUS, NULL, &bytes);
    assert_memory_equal(bytes.data, "\x01\x01", 2); /* participants: all */
    assert_true(command_needs_key(COMMAND_GROUP));
    assert_false(command_needs_key(COMMAND_SESSION));
    free(memory);
}

static void more_devices_than_actions_are_served_over_several_steps(void **state)
{
    (void)state;
    struct deployment_params p = good_params();
    p.device_count = 1000;
    struct device *devices = calloc(p.device_count, sizeof(*devices));
    void *memory = malloc(deployment_size(p.device_count));
    struct deployment_actions actions;
    unsigned commands = 0, steps = 0;

    assert_non_null(devices);
    assert_non_null(memory);
    for (uint32_t i = 0; i < p.device_count; i++) {
        devices[i] = (struct device){.dev_eui = i + 1, .uplink_interval_s = 60};
    }
    struct deployment *d = deployment_init(memory, &p, devices);
    deployment_step(d, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_BEGIN, .now_ms = NOW_MS},
                    &actions);
    assert_int_equal(actions.count, 1);
    deployment_step(
        d, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_GROUP_CREATED, .now_ms = NOW_MS},
        &actions);
    while (deployment_deadline(d) <= NOW_MS) {
        deployment_step(
            d, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_TIMER, .now_ms = NOW_MS},
            &actions);
        commands += (unsigned)actions.count;
        steps++;
    }
    assert_int_equal(commands, p.device_count);
    assert_true(steps > 10);
    deployment_assert_invariant(d);
    free(devices);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_out_of_range_are_named),
        cmocka_unit_test(the_gap_follows_gateways_duty_cycle_and_the_operator),
        cmocka_unit_test(block_ack_delay_grows_with_the_group),
        cmocka_unit_test(status_answers_are_read_by_the_rules_for_real_stacks),
        cmocka_unit_test(a_transmission_is_taken_over_with_a_group_of_its_own),
        cmocka_unit_test(who_is_not_covered_is_told),
        cmocka_unit_test(company_is_believed_unless_only_own_evidence_is_wanted),
        cmocka_unit_test(what_was_sent_while_it_may_have_been_away_proves_nothing),
        cmocka_unit_test(who_is_silent_where_others_answer_was_in_reach),
        cmocka_unit_test(among_loramac_nodes_nobody_counts_down),
        cmocka_unit_test(in_large_blocks_none_missing_may_mean_256),
        cmocka_unit_test(a_failed_take_over_is_not_forgotten_for_the_next),
        cmocka_unit_test(every_event_is_taken_in_every_state),
        cmocka_unit_test(restoring_refuses_what_was_never_written),
        cmocka_unit_test(bytes_from_the_air_never_break_it),
        cmocka_unit_test(commands_have_the_bytes_of_the_specifications),
        cmocka_unit_test(more_devices_than_actions_are_served_over_several_steps),
    };
    return cmocka_run_group_tests_name("deployment", tests, NULL, NULL);
}
