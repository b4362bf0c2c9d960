#include "store/fake_deployment.h"

const struct transmission *deployment_get_transmission(const struct deployment *d)
{
    return &d->transmission;
}

const struct device *deployment_get_device(const struct deployment *d, uint32_t device_index)
{
    return &d->devices[device_index];
}

bool deployment_take_transmission_change(struct deployment *d)
{
    bool is_changed = d->is_transmission_changed;

    d->is_transmission_changed = false;
    return is_changed;
}

size_t deployment_take_device_changes(struct deployment *d, uint32_t *indices, size_t max)
{
    size_t count = 0;

    while (count < max && d->changes_taken < d->change_count) {
        indices[count++] = d->changes_taken++;
    }
    return count;
}

size_t deployment_take_notes(struct deployment *d, struct deployment_note *notes, size_t max)
{
    size_t count = 0;

    while (count < max && d->notes_taken < d->note_count) {
        notes[count++] = d->notes[d->notes_taken++];
    }
    return count;
}
