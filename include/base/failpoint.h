/*
 * failpoint.h - the places where the daemon persists, sends or acknowledges, by name.
 *
 * A test kills the daemon at each of them and shows that the deployment ends the same. Only builds
 * with -DFUOTAD_FAILPOINTS have them; in others a failpoint is nothing. The list is complete:
 * tests/failpoints/check.py compares it with the code.
 */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

/* X(name, what has happened and what has not) */
#define FAILPOINT_LIST(X)                                                                          \
    X(TOKEN_WRITTEN, "the admin token is in its file, not in the database")                        \
    X(IMAGE_ADDED, "an image is stored, the client does not know")                                 \
    X(DRAFT_ADDED, "a draft is stored, the client does not know")                                  \
    X(REQUEST_ADDED, "a wish is stored, the client does not know")                                 \
    X(SLOT_TAKEN, "a slot is ours, nothing of it is loaded")                                       \
    X(LEASES_RENEWED, "the leases are renewed in the database")                                    \
    X(SLOTS_LEAVE, "the last commit is done, the slots are not given back")                        \
    X(REQUEST_TAKEN, "an open wish was read, nothing was done")                                    \
    X(PLAN_MADE, "a plan that was asked for is made, not stored")                                  \
    X(START_REFUSED, "a preflight found problems, they are not stored")                            \
    X(START_SCHEDULED, "a preflight found none, its draft is not scheduled")                       \
    X(START_STORED, "parameters and key are about to be stored")                                   \
    X(STARTED, "the deployment runs in the database, not in memory")                               \
    X(LOADED, "a deployment is in memory, not stepped")                                            \
    X(COMMIT_BEGINS, "a turn is stepped, its commit is not sent")                                  \
    X(COMMIT_SENT, "a commit is on its way")                                                       \
    X(COMMITTED, "a commit is done, nothing is acknowledged, nothing sent")                        \
    X(ACKNOWLEDGED, "the broker's events are acknowledged, no action is done")                     \
    X(ACTED, "the actions of a turn are handed to the driver")                                     \
    X(ACT_CREATE_GROUP, "the group is to be made")                                                 \
    X(ACT_ADD_GATEWAYS, "gateways are to be put on the group")                                     \
    X(ACT_DELETE_GROUP, "the group is to be deleted")                                              \
    X(ACT_READ_COUNTER, "the group's counter is to be read")                                       \
    X(ACT_READ_OLD_QUEUE, "the queue of another daemon's group is to be read")                     \
    X(ACT_DELETE_OLD_GROUP, "another daemon's group is to be deleted")                             \
    X(ACT_FRAME, "a frame is to be queued")                                                        \
    X(AIRTIME_BOOKED, "a frame has its turn on air, it is not queued")                             \
    X(ACT_COMMAND, "a command is to be queued")                                                    \
    X(ACT_CHECK_QUEUE, "a device's queue is to be read")                                           \
    X(ACT_FINISHED, "the deployment is over in the database, still in memory")                     \
    X(ROOT_KEY_READ, "a root key is read, the command is not encoded")                             \
    X(CALL_WRITTEN, "a call is written to the socket")                                             \
    X(CALL_ANSWERED, "the answer to a call is in, not stepped")                                    \
    X(CLOCK_ANSWER, "an AppTimeAns is committed, not queued")                                      \
    X(EVENT_HELD, "an event of a suspended deployment is to be stored")                            \
    X(RESUME, "a suspension is to be ended")                                                       \
    X(SUSPEND, "a deployment is to be suspended")                                                  \
    X(CRASH_COUNTED, "the crash before is counted, its file is still there")                       \
    X(CHANGES_TOLD, "other daemons are to be told of changes")

#ifdef FUOTAD_FAILPOINTS

enum failpoint {
#define FAILPOINT_ENUM(name, text) FAILPOINT_##name,
    FAILPOINT_LIST(FAILPOINT_ENUM)
#undef FAILPOINT_ENUM
        FAILPOINT_COUNT
};

/* Of the daemon; programs that do not have it pass their failpoints by. */
void failpoint_hit(enum failpoint failpoint) __attribute__((weak));

#define FAILPOINT(name)                                                                            \
    do {                                                                                           \
        if (failpoint_hit != NULL) {                                                               \
            failpoint_hit(FAILPOINT_##name);                                                       \
        }                                                                                          \
    } while (0)

#else
#define FAILPOINT(name) ((void)0)
#endif

#endif
