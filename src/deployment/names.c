/* names.c - the names of states, stages, commands, notes and reasons, as the API and the database
 * have them. */
#include "deployment/deployment.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

const char *reason_name(enum reason reason)
{
    static const char *const names[] = {
#define NAME(code, name, text) [code] = name,
        REASON_LIST(NAME)
#undef NAME
    };
    return (size_t)reason < COUNT_OF(names) ? names[reason] : "none";
}

const char *reason_text(enum reason reason)
{
    static const char *const texts[] = {
#define TEXT(code, name, text) [code] = text,
        REASON_LIST(TEXT)
#undef TEXT
    };
    return (size_t)reason < COUNT_OF(texts) ? texts[reason] : "no failure";
}

const char *transmission_state_name(enum transmission_state state)
{
    static const char *const names[] = {
#define NAME(code, name) [code] = name,
        TRANSMISSION_STATE_LIST(NAME)
#undef NAME
    };
    return (size_t)state < COUNT_OF(names) ? names[state] : "unknown";
}

const char *device_stage_name(enum device_stage stage)
{
    static const char *const names[] = {
#define NAME(code, name, terminal) [code] = name,
        DEVICE_STAGE_LIST(NAME)
#undef NAME
    };
    return (size_t)stage < COUNT_OF(names) ? names[stage] : "unknown";
}

bool device_stage_is_terminal(enum device_stage stage)
{
    static const bool is_terminal[] = {
#define TERMINAL(code, name, terminal) [code] = terminal,
        DEVICE_STAGE_LIST(TERMINAL)
#undef TERMINAL
    };
    return (size_t)stage < COUNT_OF(is_terminal) && is_terminal[stage];
}

const char *device_command_name(enum device_command command)
{
    static const char *const names[COMMAND_COUNT] = {
        [COMMAND_NONE] = "none",
        [COMMAND_VERSION] = "PackageVersionReq",
        [COMMAND_RESYNC] = "ForceDeviceResyncReq",
        [COMMAND_GROUP] = "McGroupSetupReq",
        [COMMAND_GROUP_SESSION] = "McGroupSetupReq+McClassCSessionReq",
        [COMMAND_FRAGMENTATION] = "FragSessionSetupReq",
        [COMMAND_SESSION] = "McClassCSessionReq",
        [COMMAND_STATUS] = "FragSessionStatusReq",
        [COMMAND_DELETE_FRAGMENTATION] = "FragSessionDeleteReq",
        [COMMAND_DELETE_GROUP] = "McGroupDeleteReq",
    };
    return (size_t)command < COMMAND_COUNT ? names[command] : "unknown";
}

const char *note_kind_name(enum note_kind kind)
{
    static const char *const names[] = {
#define NAME(code, name) [code] = name,
        NOTE_LIST(NAME)
#undef NAME
    };
    return (size_t)kind < COUNT_OF(names) ? names[kind] : "unknown";
}
