/* fake_deployment.h - a deployment that says it changed whatever the test put into it. */
#ifndef TESTS_STORE_FAKE_DEPLOYMENT_H
#define TESTS_STORE_FAKE_DEPLOYMENT_H

#include "deployment/deployment.h"

struct deployment {
    struct transmission transmission;
    bool is_transmission_changed;
    struct device *devices;
    uint32_t change_count, changes_taken; /* devices 0 .. change_count - 1 changed */
    const struct deployment_note *notes;
    size_t note_count, notes_taken;
};

#endif
