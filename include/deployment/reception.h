/*
 * reception.h - what a device's counts say about its losses, and how many more fragments it will
 * take: the arithmetic behind the rounds.
 *
 * Pure. Estimates only: they decide how much is sent, never who is called complete (status.h).
 */
#ifndef DEPLOYMENT_RECEPTION_H
#define DEPLOYMENT_RECEPTION_H

#include <stdbool.h>
#include <stdint.h>

/* Beyond this share of losses a device is not told from a deaf one. */
#define RECEPTION_LOSS_MAX 0.9

/* Frames that may be heard before they are booked. */
#define RECEPTION_ON_ITS_WAY 2

struct reception_counts {
    unsigned fragment_count; /* M */
    unsigned sent;           /* fragments enqueued, at least, when the device counted; 1.. */
    unsigned number_max;     /* N of the last one that may have been enqueued */
    unsigned number_end;     /* ... that may have been heard: RECEPTION_ON_ITS_WAY later */
    unsigned received;       /* NbFragReceived */
    unsigned missing;        /* MissingFrag */
    bool counts_last;        /* reception_shows_last_number() was true once */
    bool is_repeated;        /* uncoded fragments are sent several times: `received` says little */
    double coded_loss;       /* of coded fragments lately, where it is repeated */
};

struct reception {
    double loss;   /* share of fragments lost, 0 .. RECEPTION_LOSS_MAX */
    unsigned rows; /* independent coded rows still needed; 0: perhaps none */
};

/* Whether MissingFrag is about what the device has lost, as the specification has it, and not
 * counted down as LBM does: of losses at the same rate, M / sent are uncoded fragments. */
bool reception_shows_all_lost(const struct reception_counts *counts);

/* Whether NbFragReceived is surely the last number heard, not a number of fragments: with those
 * that are missing it would be more than were sent. */
bool reception_shows_last_number(const struct reception_counts *counts);

/* Reads the counts as the stacks mean them (docs/deployment.md has the table). */
struct reception reception_estimate(const struct reception_counts *counts);

/*
 * The most that the device can have lost, 0 .. RECEPTION_LOSS_MAX, for `received` says little:
 * LoRaMac-node and LBM count numbers, also those that were skipped; and of what LoRaMac-node has
 * lost it says the low octet only. More than the half of a large block is not assumed.
 * `skips_numbers`: not all coded fragments are sent. 0: the estimate stands.
 */
double reception_loss_most(const struct reception_counts *counts, bool skips_numbers);

/*
 * The probability, 0..1, that `frame_count` further coded fragments leave the device without the
 * `rows` (> 0) that it needs. Counts that a row may bring nothing new, and that the loss is known
 * from `sent` fragments only.
 */
double reception_open(const struct reception *reception, unsigned sent, unsigned frame_count);

/*
 * So many further fragments a device that listens cannot have missed all (one in a million): if its
 * count stays through them, it drops what it hears. 6 .. 132.
 */
unsigned reception_proof_frames(double loss);

/*
 * How often each uncoded fragment must be sent so that a device with `loss` lacks at most
 * `lost_max` of `fragment_count` afterwards (98 of 100 times); 0: more often than `repeat_max`.
 */
unsigned reception_repeats(double loss, unsigned fragment_count, unsigned lost_max,
                           unsigned repeat_max);

#endif
