/* refusals.c - what gateways say of the frames of our groups. */
#include "daemon.h"
#include "daemon/log.h"

static const char *tx_text(enum network_tx tx)
{
    static const char *const texts[NETWORK_TX_COUNT] = {
#define TX_TEXT(code, text) [code] = text,
        NETWORK_TX_LIST(TX_TEXT)
#undef TX_TEXT
    };

    return texts[tx];
}

void engine_on_gateway_frame(void *arg, const struct network_gateway_frame *frame)
{
    struct daemon *daemon = arg;
    struct running *next;

    for (struct running *r = daemon->running; r != NULL; r = next) {
        next = r->next;
        if (r->d == NULL || deployment_get_params(r->d)->mc_addr != frame->dev_addr) {
            continue;
        }
        const struct transmission *t = deployment_get_transmission(r->d);
        uint8_t slowness = t->slowness;
        engine_step(daemon, r,
                    &(struct deployment_event){.kind = DEPLOYMENT_EVENT_FRAME_RESULT,
                                               .u.result = {
                                                   .f_cnt = frame->f_cnt,
                                                   .is_refused = frame->tx != NETWORK_TX_OK,
                                               }});
        if (t->slowness > slowness) {
            char gateway[EUI64_TEXT_SIZE], id[UUID_TEXT_SIZE];
            eui64_format(frame->gateway_id, gateway);
            uuid_format(&r->id, id);
            log_warning("gateways: %s refuses frames (%s): sending %u times slower deployment=%s",
                        gateway, tx_text(frame->tx), 1u << t->slowness, id);
        }
    }
}
