/*
 * states.h - what the files of the transmission's states share: setup.c, release.c, group.c and the
 * table in transmission.c.
 *
 * A rule acts on one event in one state and returns the next state.
 */
#ifndef DEPLOYMENT_STATES_H
#define DEPLOYMENT_STATES_H

#include "impl.h"

typedef enum transmission_state rule_fn(struct deployment *d, const struct deployment_event *event);

/* group.c */
uint32_t pending_count(const struct deployment *d); /* devices that are still being set up */
void fail_all(struct deployment *d, enum reason reason);
/* Those that wait for a further pass, each with its reason. */
void fail_set_aside(struct deployment *d);
int64_t setup_end_limit_ms(const struct deployment *d);
/* Asks for a call about the group; none is under way. */
void group_call(struct deployment *d, enum deployment_action_kind kind);
/* A call of the group failed. Whether it is worth another try; the deadline is set then. */
bool group_is_tried_again(struct deployment *d, const struct deployment_event *event);
/* All devices fail; returns the next state. */
enum transmission_state group_is_lost(struct deployment *d);

/* setup.c: CREATE_GROUP, SETUP, START_SESSION */
/* SessionTime and the set-up's deadline. */
void plan_session(struct deployment *d);
void enter_setup(struct deployment *d);
rule_fn create_group, begin_setup, create_group_failed;
rule_fn setup_timer;
rule_fn start_session_timer, gateways_set, set_gateways_failed;
/* After the event of a device. */
enum transmission_state setup_device(struct deployment *d);
enum transmission_state start_session_device(struct deployment *d);

/* take_over.c: TAKE_OVER */
/* Whether it must be entered; after loading. */
bool take_over_is_wanted(struct deployment *d);
void take_over_enter(struct deployment *d);
rule_fn take_over_timer, take_over_created, take_over_gateways, take_over_queue, take_over_deleted,
    take_over_failed;

/* release.c: RELEASE, and the abort that leads there */
rule_fn release_timer, release_restored, group_created_late, group_deleted, release_failed,
    release_calls, abort_it;

#endif
