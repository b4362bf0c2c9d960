/*
 * reason.h - why a device ended as it did. The list is documented in docs/deployment.md; a test
 * compares both.
 *
 * Pure. For each command of the set-up three codes tell apart what an operator must treat
 * differently: the command never left the network server (`_NOT_SENT`: the device does not speak),
 * it was sent and nothing came back (`_NO_ANSWER`: the device does not hear, or its answers are
 * lost), and the device refused it (`_REFUSED`: with the status bits it gave).
 */
#ifndef DEPLOYMENT_REASON_H
#define DEPLOYMENT_REASON_H

/* X(code, name in the API and the database, text for people) */
#define REASON_LIST(X)                                                                             \
    X(REASON_NONE, "none", "no failure")                                                           \
    X(REASON_VERSION_NOT_SENT, "version_not_sent",                                                 \
      "PackageVersionReq never left the network server: the device sent no uplink")                \
    X(REASON_VERSION_NO_ANSWER, "version_no_answer", "PackageVersionReq was sent, no answer came") \
    X(REASON_VERSION_UNSUPPORTED, "version_unsupported",                                           \
      "the device speaks a version of TS004 that is not supported")                                \
    X(REASON_CLOCK_NOT_SENT, "clock_not_sent",                                                     \
      "ForceDeviceResyncReq never left the network server: the device sent no uplink")             \
    X(REASON_CLOCK_NO_ANSWER, "clock_no_answer",                                                   \
      "ForceDeviceResyncReq was sent, no AppTimeReq came")                                         \
    X(REASON_CLOCK_DRIFT, "clock_drift",                                                           \
      "the device's clock stayed wrong after it was synchronised again and again")                 \
    X(REASON_GROUP_NOT_SENT, "group_not_sent",                                                     \
      "McGroupSetupReq never left the network server: the device sent no uplink")                  \
    X(REASON_GROUP_NO_ANSWER, "group_no_answer", "McGroupSetupReq was sent, no answer came")       \
    X(REASON_GROUP_REFUSED, "group_refused", "the device refused McGroupSetupReq")                 \
    X(REASON_FRAGMENTATION_NOT_SENT, "fragmentation_not_sent",                                     \
      "FragSessionSetupReq never left the network server: the device sent no uplink")              \
    X(REASON_FRAGMENTATION_NO_ANSWER, "fragmentation_no_answer",                                   \
      "FragSessionSetupReq was sent, no answer came")                                              \
    X(REASON_FRAGMENTATION_REFUSED, "fragmentation_refused",                                       \
      "the device refused FragSessionSetupReq")                                                    \
    X(REASON_SESSION_NOT_SENT, "session_not_sent",                                                 \
      "McClassCSessionReq never left the network server: the device sent no uplink")               \
    X(REASON_SESSION_NO_ANSWER, "session_no_answer",                                               \
      "McClassCSessionReq was sent, no answer came, and whether the image arrived is unknown")     \
    X(REASON_SESSION_REFUSED, "session_refused", "the device refused McClassCSessionReq")          \
    X(REASON_STATUS_NOT_SENT, "status_not_sent",                                                   \
      "FragSessionStatusReq never left the network server: the device sent no uplink")             \
    X(REASON_STATUS_NO_ANSWER, "status_no_answer",                                                 \
      "FragSessionStatusReq was sent, no answer came: whether the image is there is unknown")      \
    X(REASON_INCOMPLETE, "incomplete",                                                             \
      "the device says that fragments are missing, and all rounds are used up")                    \
    X(REASON_BUDGET_SPENT, "budget_spent",                                                         \
      "the device says that fragments are missing, and the frames allowed are sent")               \
    X(REASON_DEADLINE_PASSED, "deadline_passed",                                                   \
      "the device says that fragments are missing, and the time or the sessions allowed are over") \
    X(REASON_UNPROVEN, "unproven",                                                                 \
      "the device's answers neither prove nor rule out that the block is complete")                \
    X(REASON_NO_MATRIX_MEMORY, "no_matrix_memory",                                                 \
      "the device lost more fragments than its decoder can hold")                                  \
    X(REASON_SESSION_LOST, "session_lost",                                                         \
      "the device joined again during the transmission and lost its session")                      \
    X(REASON_GROUP_NOT_HEARD, "group_not_heard",                                                   \
      "the device takes no multicast fragments: out of the gateways' reach, or not in the session") \
    X(REASON_CALL_REFUSED, "call_refused",                                                         \
      "the network server refused to queue a command for the device")                              \
    X(REASON_KEY_UNAVAILABLE, "key_unavailable",                                                   \
      "the network server did not give the device's root key")                                     \
    X(REASON_GROUP_UNAVAILABLE, "group_unavailable",                                               \
      "the network server's multicast group could not be made or was lost")                        \
    X(REASON_ABORTED, "aborted", "the operator aborted the deployment")

enum reason {
#define REASON_ENUM(code, name, text) code,
    REASON_LIST(REASON_ENUM)
#undef REASON_ENUM
        REASON_COUNT
};

/* The name in the API and the database; "none" for a value outside the list. */
const char *reason_name(enum reason reason);
/* A sentence for people. */
const char *reason_text(enum reason reason);

#endif
