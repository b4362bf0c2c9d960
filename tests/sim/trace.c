/* trace.c - the story of a run: when, who, what, in words for somebody who has not read the code.
 */
#include <stdarg.h>
#include <stdio.h>

#include "sim/sim.h"

void sim_trace(const struct sim *sim, const char *format, ...)
{
    va_list args;

    if (!sim->options.is_traced) {
        return;
    }
    int64_t ms = sim->now_ms - sim->started_ms;
    printf("%3lld:%02lld:%02lld.%03lld  ", (long long)ms / 3600000, (long long)ms / 60000 % 60,
           (long long)ms / 1000 % 60, (long long)ms % 1000);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout); /* an abort must not swallow the end of the story */
}

static void trace_window(const struct sim *sim, const struct sim_window *w, const char *what)
{
    if (w->until_ms > w->from_ms) {
        sim_trace(sim, "world: from %lld s to %lld s %s", (long long)w->from_ms / 1000,
                  (long long)w->until_ms / 1000, what);
    }
}

void trace_world(const struct sim *sim)
{
    static const char *const kinds[VIRTUAL_KIND_COUNT] = {
        [VIRTUAL_LETTER] = "by the letter of the specification",
        [VIRTUAL_LORAMAC] = "LoRaMac-node",
        [VIRTUAL_LBM] = "LoRa Basics Modem",
        [VIRTUAL_ZEPHYR] = "Zephyr",
    };
    const struct sim_options *o = &sim->options;

    sim_trace(sim,
              "world: %u devices that speak every %u s, %u gateways, %u fragments and %u "
              "coded ones, %u attempts, set-up within %lld s, session of %u s",
              o->device_count, o->uplink_interval_s, o->gateway_count, sim->params.fragment_count,
              o->coded_count, o->attempts_max, (long long)o->setup_limit_ms / 1000,
              1u << sim->params.time_out);
    for (uint32_t i = 0; i < o->device_count; i++) {
        const struct virtual_config *c = &o->devices[i];
        sim_trace(sim, "world: device %u: %s%s%s%s%s", i, kinds[c->kind],
                  c->is_deaf ? ", deaf" : "", c->is_mute ? ", mute" : "",
                  c->answers_late ? ", answers with its next uplink" : "",
                  c->clock_offset_ms != 0 || c->has_no_clock ? ", its clock is wrong" : "");
    }
    trace_window(sim, &o->network_down, "the network server is down");
    trace_window(sim, &o->commits_fail, "commits fail");
    trace_window(sim, &o->store_down, "the database is down");
    trace_window(sim, &o->events_lost, "the broker loses all events");
    trace_window(sim, &o->events_held, "the broker keeps all events");
    for (unsigned g = 0; g < o->gateway_count; g++) {
        trace_window(sim, &o->gateway_down[g],
                     g == 0   ? "gateway A is off"
                     : g == 1 ? "gateway B is off"
                              : "gateway C is off");
    }
    trace_window(sim, &o->paused, "the operator pauses it");
    trace_window(sim, &o->clock_stepped,
                 o->clock_step_ms > 0 ? "the daemon's clock is fast"
                                      : "the daemon's clock is slow");
}

const char *trace_command(enum device_command command)
{
    static const char *const words[COMMAND_COUNT] = {
        [COMMAND_NONE] = "the time (AppTimeAns)",
        [COMMAND_VERSION] = "PackageVersionReq",
        [COMMAND_RESYNC] = "ForceDeviceResyncReq",
        [COMMAND_GROUP] = "McGroupSetupReq",
        [COMMAND_GROUP_SESSION] = "McGroupSetupReq with McClassCSessionReq",
        [COMMAND_FRAGMENTATION] = "FragSessionSetupReq",
        [COMMAND_SESSION] = "McClassCSessionReq",
        [COMMAND_STATUS] = "FragSessionStatusReq",
        [COMMAND_DELETE_FRAGMENTATION] = "FragSessionDeleteReq",
        [COMMAND_DELETE_GROUP] = "McGroupDeleteReq",
    };

    return words[command];
}

static void trace_transmission_note(const struct sim *sim, const struct deployment_note *n)
{
    if (n->kind == NOTE_STATE) {
        sim_trace(sim, "daemon: --- %s ---",
                  transmission_state_name((enum transmission_state)n->value));
    } else if (n->kind == NOTE_COUNTER_JUMP) {
        sim_trace(sim,
                  "daemon: the group's counter is %lld, %u was expected: an earlier call has "
                  "landed after all",
                  (long long)n->value, n->detail);
    } else if (n->kind == NOTE_SESSION_MOVED) {
        sim_trace(sim, "daemon: too few are ready, the session is moved to %.0f s",
                  (double)(n->value * 1000 - sim->started_ms) / 1000.0);
    } else if (n->kind == NOTE_SESSION_FULL) {
        sim_trace(sim, "daemon: the session ends before fragment %lld", (long long)n->value);
    } else if (n->kind == NOTE_ROUND) {
        sim_trace(sim, "daemon: round %lld, up to fragment %u", (long long)n->value, n->detail);
    } else if (n->kind == NOTE_SESSION) {
        sim_trace(sim, "daemon: session %lld is planned", (long long)n->value);
    } else if (n->kind == NOTE_REPAIR) {
        sim_trace(sim, "daemon: a further pass for %lld devices, each fragment %u times",
                  (long long)n->value, n->detail);
    } else if (n->kind == NOTE_STOPPED) {
        sim_trace(sim, "daemon: no further fragment: %s", reason_text((enum reason)n->value));
    } else if (n->kind == NOTE_PAUSED) {
        sim_trace(sim, "daemon: %s", n->value != 0 ? "pauses" : "goes on");
    }
}

void trace_note(const struct sim *sim, const struct deployment_note *n)
{
    uint32_t i = n->device_index;
    const char *command = "";

    if (!sim->options.is_traced) {
        return;
    }
    if (i == NOTE_NO_DEVICE) {
        trace_transmission_note(sim, n);
        return;
    }
    if (n->value >= 0 && n->value < COMMAND_COUNT) {
        command = trace_command((enum device_command)n->value);
    }
    switch (n->kind) {
    case NOTE_STAGE:
        sim_trace(sim, "daemon: device %u is now at \"%s\"%s%s", i,
                  device_stage_name((enum device_stage)n->value), n->detail > 0 ? ": " : "",
                  n->detail > 0 ? reason_text((enum reason)n->detail) : "");
        break;
    case NOTE_COMMAND:
        sim_trace(sim, "daemon: device %u shall get %s, attempt %u", i, command, n->detail);
        break;
    case NOTE_SENT:
        sim_trace(sim, "daemon: learns that %s went out to device %u", command, i);
        break;
    case NOTE_NOT_SENT:
        sim_trace(sim, "daemon: %s never went out to device %u", command, i);
        break;
    case NOTE_NO_ANSWER:
        sim_trace(sim, "daemon: device %u did not answer %s", i, command);
        break;
    case NOTE_REFUSED:
        sim_trace(sim, "daemon: device %u refused %s with status 0x%02x", i, command, n->detail);
        break;
    case NOTE_CLOCK_WRONG:
        sim_trace(sim, "daemon: the clock of device %u is wrong by %lld s", i, (long long)n->value);
        break;
    case NOTE_STATUS:
        sim_trace(sim, "daemon: device %u says %lld received, %u missing", i, (long long)n->value,
                  n->detail);
        break;
    case NOTE_JOIN:
        sim_trace(sim, "daemon: learns that device %u has joined", i);
        break;
    case NOTE_CALL_FAILED:
        sim_trace(sim, "daemon: %s for device %u could not be queued", command, i);
        break;
    case NOTE_BAD_ANSWER:
        sim_trace(sim, "daemon: cannot read what device %u says on port %lld", i,
                  (long long)n->value);
        break;
    case NOTE_STATE:
    case NOTE_COUNTER_JUMP:
    case NOTE_SESSION_MOVED:
    case NOTE_SESSION_FULL:
    case NOTE_TAKEN_OVER:
    case NOTE_ROUND:
    case NOTE_SESSION:
    case NOTE_REPAIR:
    case NOTE_STOPPED:
    case NOTE_PAUSED:
    case NOTE_REFUSALS:
    case NOTE_GATEWAYS:
    case NOTE_NOT_COVERED:
    case NOTE_KIND_COUNT:
        break;
    }
}

void trace_action(const struct sim *sim, const struct deployment_action *action)
{
    switch (action->kind) {
    case DEPLOYMENT_ACTION_CREATE_GROUP:
        sim_trace(sim, "daemon: calls for the multicast group to be made");
        break;
    case DEPLOYMENT_ACTION_SET_GATEWAYS:
        sim_trace(sim, "daemon: calls for its gateways to be put on the group");
        break;
    case DEPLOYMENT_ACTION_DELETE_GROUP:
        sim_trace(sim, "daemon: calls for the group to be deleted");
        break;
    case DEPLOYMENT_ACTION_READ_COUNTER:
        sim_trace(sim, "daemon: reads the group's counter, to see what became of its call");
        break;
    case DEPLOYMENT_ACTION_FRAME:
        if (action->frame_kind == FRAME_FRAGMENT) {
            sim_trace(sim, "daemon: queues fragment %u", action->number);
        } else {
            sim_trace(sim, "daemon: queues FragSessionStatusReq to the group");
        }
        break;
    case DEPLOYMENT_ACTION_COMMAND:
        sim_trace(sim, "daemon: queues %s for device %u", trace_command(action->command),
                  action->device_index);
        break;
    case DEPLOYMENT_ACTION_CHECK_QUEUE:
        sim_trace(sim, "daemon: reads the queue of device %u, to see what became of its call",
                  action->device_index);
        break;
    case DEPLOYMENT_ACTION_READ_OLD_QUEUE:
    case DEPLOYMENT_ACTION_DELETE_OLD_GROUP:
        sim_trace(sim, "daemon: takes over from another one");
        break;
    case DEPLOYMENT_ACTION_FINISHED:
        sim_trace(sim, "daemon: the deployment is over");
        break;
    }
}

/* Answers of calls that tell of trouble; all else shows in notes and actions. */
void trace_event(const struct sim *sim, const struct deployment_event *event)
{
    uint32_t i = event->device_index;

    if (event->kind == DEPLOYMENT_EVENT_GROUP_FAILED) {
        sim_trace(sim, "daemon: a call about the group has failed");
    } else if (event->kind == DEPLOYMENT_EVENT_FRAME_FAILED) {
        sim_trace(sim, "daemon: the frame could not be queued");
    } else if (event->kind == DEPLOYMENT_EVENT_FRAME_DEFERRED) {
        sim_trace(sim, "daemon: the gateways are another deployment's for %lld ms",
                  (long long)(event->u.until_ms - sim->now_ms));
    } else if (event->kind == DEPLOYMENT_EVENT_FRAME_UNKNOWN) {
        sim_trace(sim, "daemon: nobody answered whether the frame is queued");
    } else if (event->kind == DEPLOYMENT_EVENT_COMMAND_UNKNOWN) {
        sim_trace(sim, "daemon: nobody answered a call for device %u", i);
    } else if (event->kind == DEPLOYMENT_EVENT_QUEUE_CHECKED) {
        sim_trace(sim, "daemon: its command is%s in the queue of device %u",
                  event->u.queue.is_present ? "" : " not", i);
    } else if (event->kind == DEPLOYMENT_EVENT_COUNTER) {
        sim_trace(sim, "daemon: the group's next counter is %u", event->u.f_cnt);
    }
}

static const char *uplink_words(uint8_t f_port, uint8_t cid)
{
    static const char *const clock_words[] = {"PackageVersionAns", "AppTimeReq"};
    static const char *const group_words[] = {"PackageVersionAns", "McGroupStatusAns",
                                              "McGroupSetupAns", "McGroupDeleteAns",
                                              "McClassCSessionAns"};
    static const char *const fragment_words[] = {"PackageVersionAns", "FragSessionStatusAns",
                                                 "FragSessionSetupAns", "FragSessionDeleteAns"};

    if (f_port == 200 && cid < 5) {
        return group_words[cid];
    }
    if (f_port == 201 && cid < 4) {
        return fragment_words[cid];
    }
    return f_port == 202 && cid < 2 ? clock_words[cid] : "an uplink of its application";
}

void trace_uplink(const struct sim *sim, uint32_t index, uint8_t f_port, const uint8_t *data,
                  size_t size, uint32_t gateways)
{
    char names[SIM_GATEWAYS_MAX + 1] = "";
    size_t count = 0;

    if (!sim->options.is_traced) {
        return;
    }
    for (unsigned g = 0; g < sim->options.gateway_count; g++) {
        if ((gateways & 1u << g) != 0) {
            names[count++] = (char)('A' + g);
        }
    }
    sim_trace(sim, "device %u: sends %s, heard by %s", index,
              uplink_words(f_port, size > 0 ? data[0] : UINT8_MAX),
              count > 0 ? names : "no gateway");
}
