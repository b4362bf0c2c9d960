/* deployment.c - the block of memory, the heap of deadlines, notes and changes, and the step. */
#include "deployment/deployment.h"

#include <assert.h>
#include <string.h>

#include "states.h"

#define NOT_IN_HEAP UINT32_MAX

#define TIME_MAX_MS INT64_C(253402300799999) /* the end of the year 9999 */

/* After a restart deadlines wait for the events that the broker kept. */
#define ANSWER_GRACE_MS 60000

/* Devices that one TIMER serves at most; more of them mean "deadline now". */
#define DEVICES_PER_STEP 256

/* The parts of the block, each aligned for the strictest type in it. */
struct layout {
    size_t devices, heap, dirty, is_dirty, notes, size;
    uint32_t note_capacity;
};

static size_t place(size_t *offset, size_t size)
{
    size_t at = (*offset + 15) / 16 * 16;

    *offset = at + size;
    return at;
}

static struct layout lay_out(uint32_t device_count)
{
    struct layout l = {.note_capacity = 2 * device_count + 64};
    size_t offset = sizeof(struct deployment);

    l.devices = place(&offset, device_count * sizeof(struct device));
    l.heap = place(&offset, device_count * sizeof(uint32_t));
    l.dirty = place(&offset, device_count * sizeof(uint32_t));
    l.is_dirty = place(&offset, device_count);
    l.notes = place(&offset, l.note_capacity * sizeof(struct deployment_note));
    l.size = offset;
    return l;
}

size_t deployment_size(uint32_t device_count)
{
    return lay_out(device_count).size;
}

/* heap */

static bool is_earlier(const struct deployment *d, uint32_t a, uint32_t b)
{
    return d->devices[a].deadline_ms < d->devices[b].deadline_ms;
}

static void heap_put(struct deployment *d, uint32_t at, uint32_t device_index)
{
    d->heap[at] = device_index;
    d->devices[device_index].heap_index = at;
}

static void heap_up(struct deployment *d, uint32_t at)
{
    uint32_t moving = d->heap[at];

    while (at > 0 && is_earlier(d, moving, d->heap[(at - 1) / 2])) {
        heap_put(d, at, d->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(d, at, moving);
}

static void heap_down(struct deployment *d, uint32_t at)
{
    uint32_t moving = d->heap[at];

    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= d->heap_size) {
            break;
        }
        if (child + 1 < d->heap_size && is_earlier(d, d->heap[child + 1], d->heap[child])) {
            child++;
        }
        if (!is_earlier(d, d->heap[child], moving)) {
            break;
        }
        heap_put(d, at, d->heap[child]);
        at = child;
    }
    heap_put(d, at, moving);
}

static void heap_remove(struct deployment *d, uint32_t at)
{
    d->devices[d->heap[at]].heap_index = NOT_IN_HEAP;
    uint32_t last = d->heap[--d->heap_size];
    if (at < d->heap_size) {
        heap_put(d, at, last);
        heap_up(d, at);
        heap_down(d, d->devices[last].heap_index);
    }
}

/* changes of a device */

uint32_t index_of(const struct deployment *d, const struct device *dev)
{
    return (uint32_t)(dev - d->devices);
}

void device_touch(struct deployment *d, struct device *dev)
{
    uint32_t index = index_of(d, dev);

    if (!d->is_dirty[index]) {
        d->is_dirty[index] = 1;
        d->dirty[d->dirty_count++] = index;
    }
}

void device_set_deadline(struct deployment *d, struct device *dev, int64_t deadline_ms)
{
    if (dev->deadline_ms == deadline_ms) {
        return;
    }
    dev->deadline_ms = deadline_ms;
    device_touch(d, dev);
    if (deadline_ms == DEPLOYMENT_NEVER) {
        if (dev->heap_index != NOT_IN_HEAP) {
            heap_remove(d, dev->heap_index);
        }
        return;
    }
    if (dev->heap_index == NOT_IN_HEAP) {
        heap_put(d, d->heap_size++, index_of(d, dev));
    }
    heap_up(d, dev->heap_index);
    heap_down(d, dev->heap_index);
}

static bool is_answered(const struct device *dev)
{
    return dev->stage == DEVICE_RECEIVING && (dev->flags & DEVICE_ANSWERED) != 0;
}

static void count_flags(struct deployment *d, const struct device *dev, int by)
{
    d->answered_count += is_answered(dev) ? (uint32_t)by : 0;
    d->company_count += (dev->flags & DEVICE_SHOWS_COUNT) != 0 ? (uint32_t)by : 0;
    d->all_count += (dev->flags & DEVICE_SHOWS_ALL) != 0 ? (uint32_t)by : 0;
    d->naive_count += (dev->flags & DEVICE_COUNTS_NAIVELY) != 0 ? (uint32_t)by : 0;
    d->last_count += (dev->flags & DEVICE_COUNTS_LAST) != 0 ? (uint32_t)by : 0;
}

void device_set_flag(struct deployment *d, struct device *dev, unsigned flag, bool on)
{
    uint16_t flags = (uint16_t)(on ? dev->flags | flag : dev->flags & ~flag);

    if (flags != dev->flags) {
        count_flags(d, dev, -1);
        dev->flags = flags;
        count_flags(d, dev, 1);
        device_touch(d, dev);
    }
}

void device_set_stage(struct deployment *d, struct device *dev, enum device_stage stage)
{
    d->answered_count -= is_answered(dev);
    d->stage_count[dev->stage]--;
    dev->stage = (uint8_t)stage;
    d->stage_count[stage]++;
    d->answered_count += is_answered(dev);
    device_touch(d, dev);
    note(d, index_of(d, dev), NOTE_STAGE, stage, dev->reason);
}

/* notes and actions */

void note(struct deployment *d, uint32_t device_index, enum note_kind kind, int64_t value,
          uint32_t detail)
{
    if (d->note_count == d->note_capacity) { /* nobody takes them: the oldest goes */
        d->note_first = (d->note_first + 1) % d->note_capacity;
        d->note_count--;
    }
    uint32_t at = (d->note_first + d->note_count++) % d->note_capacity;
    d->notes[at] = (struct deployment_note){
        .at_ms = d->now_ms,
        .value = value,
        .device_index = device_index,
        .detail = detail,
        .kind = kind,
    };
}

bool has_room(const struct deployment *d)
{
    return d->actions->count + 4 <= DEPLOYMENT_ACTIONS_MAX;
}

struct deployment_action *act(struct deployment *d, enum deployment_action_kind kind)
{
    assert(d->actions->count < DEPLOYMENT_ACTIONS_MAX);
    struct deployment_action *action = &d->actions->items[d->actions->count++];

    *action = (struct deployment_action){.kind = kind};
    return action;
}

/* making one */

static struct deployment *lay_into(void *memory, const struct deployment_params *params)
{
    struct layout l = lay_out(params->device_count);
    uint8_t *base = memory;
    struct deployment *d = memory;

    memset(memory, 0, l.size);
    d->params = *params;
    d->devices = (void *)(base + l.devices);
    d->heap = (void *)(base + l.heap);
    d->dirty = (void *)(base + l.dirty);
    d->is_dirty = base + l.is_dirty;
    d->notes = (void *)(base + l.notes);
    d->note_capacity = l.note_capacity;
    if (params->choose_rows) {
        enum err err = fec_choose_rows(FEC_V1, params->fragment_count, d->chosen);
        d->chosen_count = err == ERR_OK ? FEC_CHOICE_ROWS : 0;
    }
    return d;
}

struct deployment *deployment_init(void *memory, const struct deployment_params *params,
                                   const struct device *devices)
{
    struct deployment *d = lay_into(memory, params);
    struct transmission *t = &d->transmission;

    t->state = TRANSMISSION_CREATE_GROUP;
    t->deadline_ms = DEPLOYMENT_NEVER;
    t->next_number = 1;
    t->round = 1;
    t->repeat_count = 1;
    t->time_out = params->time_out;
    t->last_number = (uint16_t)(params->fragment_count + params->coded_count);
    t->gateway_count = params->gateway_count;
    for (unsigned g = 0; g < params->gateway_count; g++) {
        t->gateways[g] = (struct gateway){.id = params->gateways[g], .is_chosen = true};
    }
    d->is_transmission_changed = true;
    for (uint32_t i = 0; i < params->device_count; i++) {
        struct device *dev = &d->devices[i];
        dev->dev_eui = devices[i].dev_eui;
        dev->uplink_interval_s = devices[i].uplink_interval_s;
        dev->flags = devices[i].flags & DEVICE_HAS_VERSION;
        dev->stage = dev->flags != 0 ? DEVICE_GROUP : DEVICE_VERSION;
        dev->deadline_ms = DEPLOYMENT_NEVER;
        dev->heap_index = NOT_IN_HEAP;
        d->stage_count[dev->stage]++;
        device_touch(d, dev);
    }
    return d;
}

/* Sums of stored times must not overflow. */
static bool is_time(int64_t ms)
{
    return ms >= 0 && ms <= TIME_MAX_MS;
}

static bool is_deadline(int64_t ms)
{
    return is_time(ms) || ms == DEPLOYMENT_NEVER;
}

static bool is_sane_transmission(const struct deployment_params *p, const struct transmission *t)
{
    return (unsigned)t->state < TRANSMISSION_STATE_COUNT &&
           (unsigned)t->frame_kind <= FRAME_STATUS &&
           (unsigned)t->frame_call <= FRAME_CALL_UNKNOWN &&
           t->gateway_count <= DEPLOYMENT_GATEWAYS_MAX && t->next_number >= 1 &&
           t->last_number <= FRAG_NUMBER_MAX && t->next_number <= t->last_number + 1 &&
           (t->frame_call == FRAME_CALL_NONE || t->frame_kind != FRAME_FRAGMENT ||
            t->next_number <= t->last_number) &&
           t->clean_index <= p->device_count &&
           (unsigned)t->resume_state < TRANSMISSION_STATE_COUNT &&
           (t->state != TRANSMISSION_TAKE_OVER || t->resume_state == TRANSMISSION_TRANSMIT ||
            t->resume_state == TRANSMISSION_STATUS) &&
           t->time_out <= 15 && t->slowness <= SLOWNESS_MAX && t->repeat_count >= 1 &&
           t->repeat_index < t->repeat_count && t->asked_number < t->next_number &&
           is_time(t->status_until_ms) && is_time(t->setup_started_ms) &&
           is_time(t->last_session_ms) && is_time(t->paused_ms) && is_time(t->started_ms) &&
           is_time(t->session_time_ms) && is_time(t->next_emission_ms) &&
           is_time(t->frame_emission_ms) && is_deadline(t->deadline_ms);
}

/* Which stages go with a state: only devices that are set up receive, and the end is all devices'.
 */
static bool is_stage_of(enum transmission_state state, enum device_stage stage)
{
    if (device_stage_is_terminal(stage)) {
        return true;
    }
    if (state == TRANSMISSION_TRANSMIT || state == TRANSMISSION_STATUS ||
        state == TRANSMISSION_TAKE_OVER) {
        return stage == DEVICE_RECEIVING || stage == DEVICE_SET_ASIDE;
    }
    return state != TRANSMISSION_RELEASE && state != TRANSMISSION_DONE;
}

static bool is_sane_device(const struct transmission *t, const struct device *dev)
{
    if (dev->stage >= DEVICE_STAGE_COUNT || dev->reason >= REASON_COUNT || dev->call > CALL_SENT ||
        dev->command >= COMMAND_COUNT || dev->flags >= DEVICE_FLAGS_END || !is_time(dev->sent_ms) ||
        !is_deadline(dev->deadline_ms)) {
        return false;
    }
    bool is_idle = device_is_out(dev);
    bool has_deadline = dev->deadline_ms != DEPLOYMENT_NEVER;

    bool is_out = dev->stage == DEVICE_FAILED || dev->stage == DEVICE_SET_ASIDE;

    return is_out == (dev->reason != REASON_NONE) &&
           (dev->call == CALL_NONE || dev->command != COMMAND_NONE) &&
           /* Nothing that waits for a time may wait for ever. */
           (is_idle ? !has_deadline && dev->call == CALL_NONE
                    : has_deadline || (dev->call != CALL_QUEUED && dev->call != CALL_SENT)) &&
           is_stage_of(t->state, (enum device_stage)dev->stage);
}

enum err deployment_restore(void *memory, const struct deployment_params *params,
                            const struct transmission *transmission, const struct device *devices,
                            struct deployment **ret)
{
    if (!is_sane_transmission(params, transmission) ||
        (params->choose_rows && !deployment_may_choose_rows(params->fragment_count))) {
        return ERR_FORMAT;
    }
    for (uint32_t i = 0; i < params->device_count; i++) {
        if (!is_sane_device(transmission, &devices[i])) {
            return ERR_FORMAT;
        }
    }
    struct deployment *d = lay_into(memory, params);

    if (transmission->last_number > ordinal_max(d)) {
        return ERR_FORMAT;
    }
    d->transmission = *transmission;
    d->older_answers_ms = DEPLOYMENT_NEVER; /* forgotten */
    for (uint32_t i = 0; i < params->device_count; i++) {
        struct device *dev = &d->devices[i];
        *dev = devices[i];
        dev->heap_index = NOT_IN_HEAP;
        dev->deadline_ms = DEPLOYMENT_NEVER;
        d->stage_count[dev->stage]++;
        count_flags(d, dev, 1);
        device_set_deadline(d, dev, devices[i].deadline_ms);
    }
    d->dirty_count = 0; /* setting the deadlines changed nothing */
    memset(d->is_dirty, 0, params->device_count);
    *ret = d;
    return ERR_OK;
}

/* the step */

static void serve_devices(struct deployment *d)
{
    for (unsigned served = 0; served < DEVICES_PER_STEP && d->heap_size > 0 && has_room(d);
         served++) {
        struct device *dev = &d->devices[d->heap[0]];
        if (dev->deadline_ms > d->now_ms) {
            return;
        }
        device_on_timer(d, dev);
    }
}

/* A call that was open when the daemon stopped has an unknown outcome. */
static void restore_calls(struct deployment *d)
{
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        struct device *dev = &d->devices[i];
        if (dev->call == CALL_OPEN) {
            dev->call = CALL_UNKNOWN;
        }
        if (dev->call == CALL_UNKNOWN) {
            device_set_deadline(d, dev, d->now_ms);
        } else if ((dev->call == CALL_QUEUED || dev->call == CALL_SENT) &&
                   dev->deadline_ms < d->now_ms + ANSWER_GRACE_MS) {
            /* What came while we were away still waits at the broker. */
            device_set_deadline(d, dev, d->now_ms + ANSWER_GRACE_MS);
        }
    }
}

/* What a device said or what became of its command may be lost: its queue tells, or it is asked
 * once more, and the attempt does not count. */
static void after_gap(struct deployment *d)
{
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        struct device *dev = &d->devices[i];
        if (device_is_out(dev)) {
            continue;
        }
        if (dev->call == CALL_QUEUED) {
            dev->call = CALL_UNKNOWN;
            device_set_deadline(d, dev, d->now_ms);
        } else if (dev->call == CALL_SENT && dev->sent_count > 0) {
            dev->sent_count--;
        } else if (dev->stage == DEVICE_RECEIVING && dev->call == CALL_NONE) {
            dev->unsent_count = 0; /* silent rounds */
        }
        device_touch(d, dev);
    }
}

static bool is_about_device(enum deployment_event_kind kind)
{
    return kind >= DEPLOYMENT_EVENT_COMMAND_QUEUED;
}

void deployment_step(struct deployment *d, const struct deployment_event *event,
                     struct deployment_actions *ret_actions)
{
    ret_actions->count = 0;
    d->actions = ret_actions;
    d->now_ms = event->now_ms;
    if (event->kind == DEPLOYMENT_EVENT_RESTORED) {
        restore_calls(d);
        (void)take_over_is_wanted(d); /* forgets a take-over where no frame can be under way */
    } else if (event->kind == DEPLOYMENT_EVENT_GAP) {
        after_gap(d);
    }
    if (is_about_device(event->kind)) {
        assert(event->device_index < d->params.device_count);
        struct device *dev = &d->devices[event->device_index];
        if (event->kind == DEPLOYMENT_EVENT_UPLINK) {
            device_on_uplink(d, dev, event);
        } else {
            device_on_event(d, dev, event);
        }
    } else if (event->kind != DEPLOYMENT_EVENT_TIMER || d->transmission.deadline_ms <= d->now_ms) {
        transmission_on_event(d, event);
    }
    if (event->kind == DEPLOYMENT_EVENT_TIMER) {
        serve_devices(d);
    }
    transmission_on_device(d);
    d->actions = NULL;
}

int64_t deployment_deadline(const struct deployment *d)
{
    int64_t deadline_ms = d->transmission.deadline_ms;

    if (d->heap_size > 0 && d->devices[d->heap[0]].deadline_ms < deadline_ms) {
        deadline_ms = d->devices[d->heap[0]].deadline_ms;
    }
    return deadline_ms;
}

const struct deployment_params *deployment_get_params(const struct deployment *d)
{
    return &d->params;
}

const struct transmission *deployment_get_transmission(const struct deployment *d)
{
    return &d->transmission;
}

const struct device *deployment_get_device(const struct deployment *d, uint32_t device_index)
{
    assert(device_index < d->params.device_count);
    return &d->devices[device_index];
}

uint32_t deployment_stage_count(const struct deployment *d, enum device_stage stage)
{
    return d->stage_count[stage];
}

bool deployment_is_done(const struct deployment *d)
{
    return d->transmission.state == TRANSMISSION_DONE;
}

unsigned deployment_gateway_count(const struct deployment *d)
{
    unsigned count = 0;

    for (unsigned g = 0; g < d->transmission.gateway_count; g++) {
        count += d->transmission.gateways[g].is_chosen;
    }
    return count > 0 ? count : 1;
}

bool deployment_take_transmission_change(struct deployment *d)
{
    bool is_changed = d->is_transmission_changed;

    d->is_transmission_changed = false;
    return is_changed;
}

size_t deployment_take_device_changes(struct deployment *d, uint32_t *indices, size_t max)
{
    size_t count = d->dirty_count < max ? d->dirty_count : max;

    for (size_t i = 0; i < count; i++) {
        indices[i] = d->dirty[--d->dirty_count];
        d->is_dirty[indices[i]] = 0;
    }
    return count;
}

size_t deployment_take_notes(struct deployment *d, struct deployment_note *notes, size_t max)
{
    size_t count = d->note_count < max ? d->note_count : max;

    for (size_t i = 0; i < count; i++) {
        notes[i] = d->notes[d->note_first];
        d->note_first = (d->note_first + 1) % d->note_capacity;
        d->note_count--;
    }
    return count;
}

void deployment_assert_invariant(const struct deployment *d)
{
    uint32_t stages[DEVICE_STAGE_COUNT] = {0};
    uint32_t answered = 0, with_deadline = 0, company = 0, all = 0, naive = 0, last = 0;
    const struct transmission *t = &d->transmission;

    for (uint32_t i = 0; i < d->params.device_count; i++) {
        const struct device *dev = &d->devices[i];
        assert(is_sane_device(t, dev));
        stages[dev->stage]++;
        answered += is_answered(dev);
        company += (dev->flags & DEVICE_SHOWS_COUNT) != 0;
        all += (dev->flags & DEVICE_SHOWS_ALL) != 0;
        naive += (dev->flags & DEVICE_COUNTS_NAIVELY) != 0;
        last += (dev->flags & DEVICE_COUNTS_LAST) != 0;
        assert((dev->deadline_ms == DEPLOYMENT_NEVER) == (dev->heap_index == NOT_IN_HEAP));
        if (dev->heap_index != NOT_IN_HEAP) {
            with_deadline++;
            assert(d->heap[dev->heap_index] == i);
            assert(dev->heap_index == 0 || !is_earlier(d, i, d->heap[(dev->heap_index - 1) / 2]));
        }
    }
    assert(memcmp(stages, d->stage_count, sizeof(stages)) == 0);
    assert(answered == d->answered_count);
    assert(company == d->company_count && all == d->all_count && naive == d->naive_count);
    assert(last == d->last_count);
    assert(with_deadline == d->heap_size);
    assert(is_sane_transmission(&d->params, t));
}
