/*
 * transport.h - a byte stream to a server: TCP on the loop, plain or TLS.
 *
 * Wraps uv_tcp and OpenSSL; no type of them shows here. Connecting includes resolving the name and
 * the TLS handshake.
 */
#ifndef NETWORK_TRANSPORT_H
#define NETWORK_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct uv_loop_s;
struct transport;

struct transport_options {
    const char *host;
    uint16_t port;
    bool is_tls;
    const char *ca_file;   /* PEM; NULL: the system's */
    const char *cert_file; /* PEM, client certificate; NULL: none */
    const char *key_file;
    const char *alpn; /* "h2"; NULL: none */
};

struct transport_callbacks {
    void (*on_connect)(void *arg);
    void (*on_data)(void *arg, const uint8_t *data, size_t size);
    /* The stream is over; `text` says why. Comes once, also when connecting fails; the transport
     * frees itself then. */
    void (*on_close)(void *arg, const char *text);
};

struct transport *transport_connect(struct uv_loop_s *loop, const struct transport_options *options,
                                    const struct transport_callbacks *callbacks, void *arg);
/* Queues a copy of `data`. */
void transport_write(struct transport *t, const uint8_t *data, size_t size);
/* Octets queued and not sent. */
size_t transport_backlog(const struct transport *t);
/* Ends the stream; on_close comes later, with `text`. */
void transport_close(struct transport *t, const char *text);

#endif
